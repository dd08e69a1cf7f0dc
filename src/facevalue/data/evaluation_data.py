"""The labelled images that a finished model is judged or calibrated on, and whether it knows them already."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from facevalue.data.dataset import ImageDataset, dataset_of
from facevalue.data.manifest import SPLITS, Manifest
from facevalue.data.scan import Data, scan
from facevalue.data.splits import origins
from facevalue.data.training_data import learned_from
from facevalue.errors import DataError, UsageError
from facevalue.evidence.card import ModelCard
from facevalue.evidence.findings import Finding, finding
from facevalue.support import progress


@dataclass(frozen=True)
class EvaluationData:
    """Images for a finished model.

    Attributes
    ----------
    rows : of the manifest, in the images' order.
    parts : the split that each, or the file it was made from, had when the model was made; ``""`` for new ones.
    warnings : what should be known of them.
    """

    dataset: ImageDataset
    rows: pd.DataFrame
    parts: pd.Series[str]
    warnings: tuple[Finding, ...]


def evaluation_data(card: ModelCard, known: Manifest | None, data: Data, split: str | None = None) -> EvaluationData:
    """Images of ``data`` to evaluate or attack the model on.

    Parameters
    ----------
    known : what the model was made from; ``None`` where that is not known.
    split : one of those that ``data`` has, or that the model made of it; or ``all``. By default what is kept for this:
        of a folder with splits test, of the folder that the model was made from its own test images, else all.

    Raises
    ------
    UsageError
        There is no such split.
    DataError
        The model has learned from its own images of that split.
    """
    if split not in (None, "all", *SPLITS):
        raise UsageError(f"expected split to be all or one of {', '.join(SPLITS)}, but got {split!r}")
    found = _Found(card, known, data)
    if found.given:
        return found.asked(split or found.first("test", "calibration", "validation") or "test")
    if found.familiar if split is None else split != "all":
        return found.own(split or "test")
    return found.asked("all")


def calibration_data(card: ModelCard, known: Manifest | None, data: Data) -> EvaluationData:
    """Images of ``data`` to fit temperature and limits on: never test, or nothing were left to measure that by.

    Raises
    ------
    DataError
        There are none, or the model has learned from all of them.
    """
    found = _Found(card, known, data)
    if found.given:
        split = found.first("calibration", "validation")
        if split is None:
            raise DataError(
                f"{found.data} has {' and '.join(sorted(found.given))} images and none for calibration; "
                "give a folder of other images that the model has not seen"
            )
        asked = found.asked(split)
    else:
        asked = found.own("calibration") if found.familiar else found.all_but_test()
    if asked.parts.isin(learned_from(card)).all():
        raise DataError(
            f"the model has learned from all {len(asked.dataset)} images of {data}; calibrated on them it would be "
            "too sure, so give others"
        )
    return asked


class _Found:
    """What is in ``data``, and what the model knows of it."""

    def __init__(self, card: ModelCard, known: Manifest | None, data: Data) -> None:
        self.card = card
        self.manifest = scan(data, classes=card.classes)
        self.data = self.manifest.source
        self.given = set(self.manifest.readable["split"]) - {""}
        self._known = pd.DataFrame({"sha256": [], "split": [], "label": []}) if known is None else known.table
        splits = dict(zip(self._known["sha256"], self._known["split"], strict=True))
        sha256 = self.manifest.table["sha256"]
        self._parts = (
            sha256.map(splits)
            .fillna(sha256.map(origins(Path(data)) if isinstance(data, Path | str) else {}).map(splits))
            .fillna("")
        )

    @property
    def familiar(self) -> bool:
        """Whether these are all the images that the model was made from, and no others."""
        return set(self.manifest.readable["sha256"]) == set(self._known["sha256"][self._known["split"] != ""])

    def first(self, *splits: str) -> str | None:
        """The first of these that the data itself has."""
        return next((split for split in splits if split in self.given), None)

    def own(self, split: str) -> EvaluationData:
        """The images that were in this split when the model was made."""
        if not (self._parts == split).any():
            raise DataError(f"the model has kept no {split} images of {self.data}")
        progress.note(f"{self.data} is what the model was made from: taking its {split} images")
        return self._of(self.manifest.changed(split=self._parts), split)

    def all_but_test(self) -> EvaluationData:
        """All images but those that were in test when the model was made."""
        n = int((self._parts == "test").sum())
        if not n:
            return self.asked("all")
        asked = self._of(replace(self.manifest, table=self.manifest.table[self._parts != "test"]), "all")
        left_out = finding("test-images-left-out", f"{n} images are the model's own test images and were left out", n=n)
        return replace(asked, warnings=(*asked.warnings, left_out))

    def asked(self, split: str) -> EvaluationData:
        """The images in this split of the data's own; ``all`` for all."""
        return self._of(self.manifest, split)

    def _of(self, manifest: Manifest, split: str) -> EvaluationData:
        wanted = [] if split == "all" else [split]
        same = bool(wanted) and manifest.fingerprint(*wanted) == Manifest(self._known, "").fingerprint(*wanted)
        name = split if same else _folder_name(self.data)
        chosen = dataset_of(manifest, self.card.preprocessing, self.card.classes, *wanted, name=name)
        rows = manifest.rows(*wanted)
        parts = self._parts[rows.index]
        seen = int(parts.isin(["train", "validation", "calibration"]).sum())
        if split != "train" and split in learned_from(self.card) and (parts == split).all():
            raise DataError(
                f"the model has learned from its {split} images too (refit); figures on its card are from before that"
            )
        warnings = manifest.warnings
        if seen and (split not in ("train", "validation", "calibration") or not same):
            text = f"{seen} of {len(chosen)} images were used to make the model"
            warnings = (*warnings, finding("images-seen-in-training", text, seen=seen, n=len(chosen)))
        return EvaluationData(chosen, rows, parts, warnings)


def _folder_name(data: str) -> str:
    """What a report on other images is called: never as a split of the model's own."""
    whole = Path(data).resolve()
    return f"{whole.parent.name}/{whole.name}" if whole.name in SPLITS else whole.name
