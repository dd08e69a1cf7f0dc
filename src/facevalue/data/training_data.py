"""The images that models were made from: locate them again, and join those of several models."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from facevalue.data.file_facts import IN_MEMORY
from facevalue.data.manifest import SPLITS, Manifest
from facevalue.data.scan import Data, scan
from facevalue.errors import DataError, UsageError
from facevalue.evidence.card import ModelCard
from facevalue.evidence.findings import distinct, finding

HARD_IMAGES_ONLY = finding(
    "calibrated-on-hard-images-only",
    "the model was trained on its own calibration images, so the new model is calibrated on hard images only",
)
"""Every model that is made from such a model keeps this finding."""


def calibrated_on_hard_images_only(card: ModelCard) -> bool:
    """Whether a model was fine-tuned from one that was trained on its own calibration images."""
    found = card.recipe.get("finetune", {}).get("warnings", ())
    return any(warning["code"] == HARD_IMAGES_ONLY.code for warning in found)


def learned_from(card: ModelCard) -> tuple[str, ...]:
    """The splits that a model was trained on."""
    return ("train", "validation", "calibration") if card.refitted else ("train",)


def learned_manifest(manifest: Manifest, card: ModelCard) -> Manifest:
    """The manifest a model was made from, with every split that it was trained on called ``train``."""
    split = manifest.table["split"]
    return manifest.changed(split=split.mask(split.isin(learned_from(card)), "train"))


def found_again(manifest: Manifest, splits: Collection[str], moved_to: Data | None, parameter: str) -> Manifest:
    """The manifest with the current paths of the images of ``splits``.

    Parameters
    ----------
    moved_to : where the images are now, matched by their bytes; ``None`` if they have not moved.
    parameter : name of the parameter that gives ``moved_to``, for the error message.

    Raises
    ------
    DataError
        An image is missing or has changed.
    """
    table = manifest.table
    wanted = (table["error"] == "") & table["split"].isin(splits)
    images = dict(manifest.images)
    if moved_to is not None:
        now = scan(moved_to)
        images = dict(now.images)
        places = dict(zip(now.readable["sha256"], now.readable["path"], strict=True))
        table = table.assign(path=table["sha256"].map(places).where(wanted, table["path"]).fillna(""))
    missing = [
        key
        for key, path in zip(table["key"][wanted], table["path"][wanted], strict=True)
        if path not in images and not _is_file(path)
    ]
    if missing:
        where = "where they were" if moved_to is None else "in the data given"
        raise DataError(
            f"{len(missing)} of {int(wanted.sum())} images that the model was made from are not {where}, "
            f"e.g. {missing[0]}; say where they are with `{parameter}`"
        )
    return replace(manifest, table=table, images=images)


def joined(manifests: Sequence[Manifest]) -> Manifest:
    """One table of all members' images, each in the earliest of its splits (train, validation, calibration, test).

    An image that one member was trained on is in train, whatever its split in the others; so is its whole group.
    """
    # Two folders may each have a group of the same name. Members of one folder are joined by the images they share.
    forms = {bool((m.readable["format"] == IN_MEMORY).all()) for m in manifests if "format" in m.table.columns}
    if len(forms) > 1:
        raise UsageError(
            "some members were trained on files and others on images in memory, so it is not known which images they "
            "share; train all of them on the same data"
        )
    several = len({m.source for m in manifests}) > 1
    tables = [m.table.assign(group=f"{m.source}: " + m.table["group"]) if several else m.table for m in manifests]
    table = pd.concat(tables, ignore_index=True, join="inner")
    table = table[table["split"] != ""]
    rank = table["split"].map(SPLITS.index)
    while True:
        lower = rank.groupby(table["sha256"]).transform("min")
        lower = lower.groupby(table["group"]).transform("min")
        if lower.equals(rank):
            break
        rank = lower
    table = table.assign(split=rank.map(dict(enumerate(SPLITS)))).drop_duplicates("sha256").sort_values("key")
    return Manifest(
        table.reset_index(drop=True),
        source="; ".join(dict.fromkeys(m.source for m in manifests)),
        groups="; ".join(dict.fromkeys(m.groups for m in manifests)),
        warnings=distinct(w for m in manifests for w in m.warnings),
        images={path: image for m in manifests for path, image in m.images.items()},
    )


def _is_file(path: str) -> bool:
    return path != "" and Path(path).is_file()
