"""Images split as a recipe says: what training and searching share."""

from __future__ import annotations

from collections.abc import Mapping

from facevalue.data.groups import check_groups, with_groups
from facevalue.data.manifest import Manifest
from facevalue.data.scan import Data, scan
from facevalue.data.splits import with_splits
from facevalue.errors import DataError
from facevalue.evidence.findings import finding, say
from facevalue.training.recipe import Recipe


def split_manifest(data: Data, recipe: Recipe, groups: str | None) -> Manifest:
    """All images of ``data`` with their groups and splits, by the recipe's shares and seed.

    Parameters
    ----------
    groups : in place of the recipe's own, which are left aside, and said to be, where no image is named as they
        expect: a recipe is for other people's folders too.
    """
    split = recipe.split
    near = split.near if split.near >= 0 else None
    shares = {"validation": split.validation, "calibration": split.calibration, "test": split.test}
    scanned = scan(
        data,
        nested_groups=groups is not None,
        before=lambda named: _check_named(named, groups, split.groups, shares),
    )
    if groups is not None or split.groups is None:
        manifest = with_groups(scanned, groups, near)
    else:
        try:
            manifest = with_groups(scanned, split.groups, near)
        except DataError:
            manifest = with_groups(scanned, None, near)
            text = (
                f"no file is named as the groups of the recipe ({split.groups}) expect; if several images show one "
                "person or object, say which with `groups`"
            )
            say([finding("groups-not-found", text, groups=split.groups)])
    say(manifest.notes[len(scanned.notes) :])
    return with_splits(manifest, shares, recipe.seed)


def _check_named(manifest: Manifest, asked: str | None, recipes: str | None, shares: Mapping[str, float]) -> None:
    try:
        check_groups(manifest, asked or recipes, shares)
    except DataError:
        if asked is not None or recipes is None:
            raise
        check_groups(manifest, None, shares)  # the recipe's own may not be for these names
