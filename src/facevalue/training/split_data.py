"""Splits images by a recipe, for ``train`` and ``tune``."""

from __future__ import annotations

from collections.abc import Mapping

from facevalue.data.groups import check_groups, with_groups
from facevalue.data.manifest import Manifest
from facevalue.data.scan import Data, scan
from facevalue.data.splits import with_splits
from facevalue.errors import DataError
from facevalue.evidence.findings import finding, say
from facevalue.models.networks.weights import expect_available
from facevalue.training.recipe import Recipe


def split_manifest(data: Data, recipe: Recipe, groups: str | None) -> Manifest:
    """All images of ``data`` with their groups and splits, by the recipe's shares and seed.

    Parameters
    ----------
    groups : replace those of the recipe. The recipe's groups are skipped, with a warning, if they match no file name,
        because a recipe is also used on other folders.

    Raises
    ------
    DataError
        The images cannot be split; where names alone tell it, before any image is read.
    WeightsError
        The recipe's initial weights cannot be had.
    """
    split = recipe.split
    near = split.near if split.near >= 0 else None
    shares = {"validation": split.validation, "calibration": split.calibration, "test": split.test}

    def check(named: Manifest) -> None:
        _check_named(named, groups, split.groups, shares)
        expect_available(recipe.network.name, recipe.network.weights)

    scanned = scan(
        data,
        nested_groups=groups is not None,
        before=check,
    )
    if groups is not None or split.groups is None:
        manifest = with_groups(scanned, groups, near)
    else:
        try:
            manifest = with_groups(scanned, split.groups, near)
        except DataError:
            manifest = with_groups(scanned, None, near)
            text = (
                f"the groups of the recipe ({split.groups}) match no file name; if several images show one "
                "person or object, set `groups`"
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
        check_groups(manifest, None, shares)  # the recipe's groups may not match these file names
