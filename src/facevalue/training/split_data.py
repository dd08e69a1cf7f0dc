"""Splits images by a recipe, for ``train`` and ``tune``."""

from __future__ import annotations

from collections.abc import Mapping

from facevalue.data.groups import check_groups, with_groups
from facevalue.data.manifest import Manifest
from facevalue.data.scan import Data, scan
from facevalue.data.sources import folders_below, sources_of
from facevalue.data.splits import with_splits
from facevalue.errors import DataError
from facevalue.evidence.findings import finding, say
from facevalue.models.networks.weights import expect_available
from facevalue.training.recipe import Recipe

SPREAD = (
    "the folders below the classes are taken for sources, so the images of each lie in all splits; if several images "
    "show one person or object, give a manifest with the columns `source` and `group`"
)
TOGETHER = (
    "the folders below the classes are taken for groups, and a group stays in one split; if they are sources (cameras, "
    "collections, generators) that the model should know, set `groups` to image"
)


def split_manifest(data: Data, recipe: Recipe, groups: str | None) -> Manifest:
    """All images of ``data`` with their groups and splits, by the recipe's shares and seed.

    Parameters
    ----------
    groups : replace those of the recipe. The recipe's groups are skipped, with a warning, if they match no file name,
        because a recipe is also used on other folders. Without either, folders below the class that are its *sources*
        are no groups where the recipe asks for known sources.

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
        _check_named(named, _or_image(named, groups, recipe), split.groups, shares)
        expect_available(recipe.network.name, recipe.network.weights)

    scanned = scan(
        data,
        nested_groups=groups is not None,
        before=check,
    )
    if groups is not None or split.groups is None:
        chosen = _or_image(scanned, groups, recipe)
        manifest = with_groups(scanned, chosen, near)
        if chosen != groups:
            say([finding("sources-in-all-splits", SPREAD)])
        elif chosen is None and recipe.gate.kind == "face" and _are_sources(manifest):
            say([finding("sources-in-one-split", TOGETHER)])
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


def _or_image(manifest: Manifest, groups: str | None, recipe: Recipe) -> str | None:
    """The groups asked for; ``image`` if none are, and the folders below the classes are sources to be known."""
    is_default = groups is None and recipe.split.groups is None
    return "image" if is_default and recipe.sources.known == "on" and _are_sources(manifest) else groups


def _are_sources(manifest: Manifest) -> bool:
    """Whether the groups are the folders below the classes, and no source lies in two of them."""
    table = manifest.table
    if any(group != folder for group, folder in zip(table["group"], folders_below(table), strict=True)):
        return False
    found = sources_of(table)
    groups: dict[tuple[str, str], set[str]] = {}
    for label, source, group in zip(table["label"], found, table["group"], strict=bool(found)):
        groups.setdefault((label, source), set()).add(group)
    return bool(found) and all(len(names) == 1 for names in groups.values())


def _check_named(manifest: Manifest, asked: str | None, recipes: str | None, shares: Mapping[str, float]) -> None:
    try:
        check_groups(manifest, asked or recipes, shares)
    except DataError:
        if asked is not None or recipes is None:
            raise
        check_groups(manifest, None, shares)  # the recipe's groups may not match these file names
