"""The images that models were made from: found again, and put together."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from facevalue.data.manifest import SPLITS, Manifest
from facevalue.data.scan import Data, scan
from facevalue.errors import DataError
from facevalue.evidence.card import ModelCard
from facevalue.evidence.findings import distinct, finding

HARD_IMAGES_ONLY = finding(
    "calibrated-on-hard-images-only",
    "the model has learned from its own calibration images, so the new model is calibrated on hard images only",
)
"""It stays with every model that is made from such a model."""


def calibrated_on_hard_images_only(card: ModelCard) -> bool:
    """Whether a model was fine-tuned from one that had learned from its own calibration images."""
    found = card.recipe.get("finetune", {}).get("warnings", ())
    return any(warning["code"] == HARD_IMAGES_ONLY.code for warning in found)


def learned_from(card: ModelCard) -> tuple[str, ...]:
    """The splits whose images a model has learned from."""
    return ("train", "validation", "calibration") if card.refitted else ("train",)


def learned_manifest(manifest: Manifest, card: ModelCard) -> Manifest:
    """What a model was made from, as it was then; all that it learned from is train."""
    split = manifest.table["split"]
    return manifest.changed(split=split.mask(split.isin(learned_from(card)), "train"))


def found_again(manifest: Manifest, splits: Collection[str], moved_to: Data | None, parameter: str) -> Manifest:
    """The manifest with paths at which the images of ``splits`` are now.

    Parameters
    ----------
    moved_to : where they lie today, matched by their bytes; ``None`` where they have not moved.
    parameter : the one that says so, for the error.

    Raises
    ------
    DataError
        An image is not there, or is another one now.
    """
    table = manifest.table
    wanted = (table["error"] == "") & table["split"].isin(splits)
    images = dict(manifest.images)
    if moved_to is not None:
        now = scan(moved_to)
        images = dict(now.images)
        places = dict(zip(now.readable["sha256"], now.readable["path"], strict=True))
        table = table.assign(path=table["sha256"].map(places).where(wanted, table["path"]).fillna(""))
    gone = [
        key
        for key, path in zip(table["key"][wanted], table["path"][wanted], strict=True)
        if path not in images and not _is_file(path)
    ]
    if gone:
        where = "where they were" if moved_to is None else "in the data given"
        raise DataError(
            f"{len(gone)} of {int(wanted.sum())} images that the model was made from are not {where}, "
            f"e.g. {gone[0]}; say where they are with `{parameter}`"
        )
    return replace(manifest, table=table, images=images)


def joined(manifests: Sequence[Manifest]) -> Manifest:
    """One table of all members' images; each is in the split that the most familiar member has it in.

    An image that one member was trained on is trained on, whatever it is to the others; so is its whole group.
    """
    # Two folders may each have a group of one name. Members of one folder are joined by the images they share.
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
