"""The images that a model was made from, found again."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pandas as pd

from facevalue.data.manifest import Manifest
from facevalue.data.scan import scan
from facevalue.errors import DataError
from facevalue.evidence.card import MANIFEST, ModelCard

HARD_ALONE = "the model has learned from its own calibration images: the new one is calibrated on hard ones alone"
"""A warning that stays with all that goes on from such a model."""


def calibrated_on_hard_alone(card: ModelCard) -> bool:
    """Whether a model was fine-tuned from one that had learned from its own calibration images."""
    return HARD_ALONE in card.recipe.get("finetune", {}).get("warnings", ())


def learned_from(card: ModelCard) -> tuple[str, ...]:
    """The splits whose images a model has learned from."""
    return ("train", "validation", "calibration") if card.refitted else ("train",)


def own_manifest(folder: Path, card: ModelCard) -> Manifest:
    """The manifest in a model folder, as it was when the model was made; all that it learned from is train."""
    table = pd.read_parquet(card.checked_file(folder, MANIFEST))
    table = table.assign(split=table["split"].mask(table["split"].isin(learned_from(card)), "train"))
    return Manifest(table, source=card.data.source, groups=card.data.groups, warnings=card.data.warnings)


def found_again(manifest: Manifest, splits: Collection[str], moved_to: Path | None, flag: str) -> Manifest:
    """The manifest with paths at which the images of ``splits`` are now.

    Parameters
    ----------
    moved_to : where they lie today, matched by their bytes; ``None`` where they have not moved.
    flag : the option that says so, for the error.

    Raises
    ------
    DataError
        An image is not there, or is another one now.
    """
    table = manifest.table
    wanted = (table["error"] == "") & table["split"].isin(splits)
    if moved_to is not None:
        now = scan(moved_to).readable
        places = dict(zip(now["sha256"], now["path"], strict=True))
        table = table.assign(path=table["sha256"].map(places).where(wanted, table["path"]).fillna(""))
    gone = [key for key, path in zip(table["key"][wanted], table["path"][wanted], strict=True) if not _is_file(path)]
    if gone:
        where = f"in {moved_to}" if moved_to is not None else "where they were"
        raise DataError(
            f"{len(gone)} of {int(wanted.sum())} images that the model was made from are not {where}, "
            f"e.g. {gone[0]}; say where they are with {flag} DIR"
        )
    return Manifest(table, manifest.source, manifest.groups, manifest.warnings)


def _is_file(path: str) -> bool:
    return path != "" and Path(path).is_file()
