"""Choose the labelled images that a finished model is evaluated or calibrated on; detect those it was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from facevalue.data.class_names import scanned_for
from facevalue.data.dataset import ImageDataset, dataset_of
from facevalue.data.face_boxes import shows_face, with_faces
from facevalue.data.file_facts import IN_MEMORY
from facevalue.data.hashes import unpack
from facevalue.data.manifest import SPLITS, Manifest
from facevalue.data.near_duplicates import clusters
from facevalue.data.scan import Data
from facevalue.data.splits import origins
from facevalue.data.training_data import learned_from
from facevalue.errors import DataError, UsageError
from facevalue.evidence.card import ModelCard
from facevalue.evidence.findings import Finding, finding
from facevalue.faces.gate import FaceGate
from facevalue.support import progress

_SAME_LOOK = 4
"""Bits of 256 in which the hashes of one image in two forms may differ: a large JPEG is read at a lower resolution."""


@dataclass(frozen=True)
class EvaluationData:
    """Images for a finished model.

    Attributes
    ----------
    rows : of the manifest, in the order of the images.
    parts : the split of each image when the model was made; ``""`` for images that are new to the model. A prepared
        image counts as the file it was made from.
    warnings : about these images.
    """

    dataset: ImageDataset
    rows: pd.DataFrame
    parts: pd.Series[str]
    warnings: tuple[Finding, ...]


def evaluation_data(
    card: ModelCard,
    known: Manifest | None,
    data: Data,
    split: str | None = None,
    classes: Mapping[str, str] | None = None,
    gate: FaceGate | None = None,
) -> EvaluationData:
    """Images of ``data`` to evaluate or attack the model on.

    Parameters
    ----------
    known : the images that the model was made from; ``None`` if they are not known.
    split : a split of ``data``, or a split that the model made of ``data``, or ``all``. The default is ``test`` for a
        folder with splits, the model's own test images for the folder that it was made from, and else ``all``.
    classes : names of classes of ``data`` with those of the model, see :func:`facevalue.data.class_names.scanned_for`.
    gate : of the model, if the card has one.

    Raises
    ------
    UsageError
        There is no such split, or ``classes`` has an unknown name.
    DataError
        The model was trained on its own images of that split.
    """
    if split not in (None, "all", *SPLITS):
        raise UsageError(f"Expected `split` to be all or one of {', '.join(SPLITS)}, but got {split!r}")
    chooser = _Chooser(card, known, data, classes, gate)
    if chooser.given:
        return chooser.of_split(split or chooser.first("test", "calibration", "validation", "train") or "test")
    if chooser.familiar if split is None else split != "all":
        return chooser.own(split or "test")
    return chooser.of_split("all")


def calibration_data(
    card: ModelCard,
    known: Manifest | None,
    data: Data,
    classes: Mapping[str, str] | None = None,
    gate: FaceGate | None = None,
) -> EvaluationData:
    """Images of ``data`` to fit temperature and abstention limits on; never the model's test images.

    Parameters
    ----------
    known, classes : as for :func:`evaluation_data`.

    Raises
    ------
    UsageError
        ``classes`` has an unknown name.
    DataError
        There are none, or the model was trained on all of them.
    """
    chooser = _Chooser(card, known, data, classes, gate)
    if chooser.given:
        split = chooser.first("calibration", "validation")
        if split is None:
            raise DataError(
                f"{chooser.data} has {' and '.join(sorted(chooser.given))} images and none for calibration; "
                "give a folder of images that the model has not seen"
            )
        chosen = chooser.of_split(split)
    else:
        chosen = chooser.own("calibration") if chooser.familiar else chooser.all_but_test()
    if chosen.parts.isin(learned_from(card)).all():
        raise DataError(
            f"the model was trained on all {len(chosen.dataset)} images of {data}; calibrated on them it would be "
            "overconfident, so give other images"
        )
    return chosen


class _Chooser:
    """Chooses among the images of ``data`` by the split they had when the model was made."""

    def __init__(
        self,
        card: ModelCard,
        known: Manifest | None,
        data: Data,
        classes: Mapping[str, str] | None,
        gate: FaceGate | None,
    ) -> None:
        self.card = card
        self.gate = gate
        self.manifest = scanned_for(data, card.classes, classes)
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
        self._parts = self._parts.where(self._parts != "", self._by_look())

    @property
    def familiar(self) -> bool:
        """Whether ``data`` holds exactly the images that the model was made from."""
        same = set(self.manifest.readable["sha256"]) == set(self._known["sha256"][self._known["split"] != ""])
        readable = self.manifest.readable
        # The same images in another form, as files or in memory, have other bytes.
        return same or (len(readable) == len(self._known) and bool((self._parts[readable.index] != "").all()))

    def _by_look(self) -> pd.Series[str]:
        """The split of images that are in memory here and were files when the model was made, or the reverse.

        Their bytes differ, so they are recognised by their perceptual hashes.
        """
        table = self.manifest.table
        if "format" not in self._known.columns:
            return pd.Series("", index=table.index)
        here, there = (rows["format"] == IN_MEMORY for rows in (table, self._known))
        if here.all() == there.all() and here.any() == there.any():
            return pd.Series("", index=table.index)
        known = self._known[(self._known["split"] != "") & (self._known["phash"] != "")]
        new = table[table["phash"] != ""]
        if known.empty or new.empty:
            return pd.Series("", index=table.index)
        with progress.within("recognising images"):
            both = np.concatenate([unpack(known["phash"]), unpack(new["phash"])])
            joined = clusters(both, near=_SAME_LOOK).labels
        split_of = dict(zip(joined[: len(known)][::-1], known["split"][::-1], strict=True))
        found = pd.Series([split_of.get(label, "") for label in joined[len(known) :]], index=new.index)
        return found.reindex(table.index, fill_value="")

    def first(self, *splits: str) -> str | None:
        """The first of these splits that the data has."""
        return next((split for split in splits if split in self.given), None)

    def own(self, split: str) -> EvaluationData:
        """The images that were in this split when the model was made."""
        if not (self._parts == split).any():
            raise DataError(f"the model has kept no {split} images of {self.data}")
        progress.note(f"the model was made from {self.data}: using its {split} images")
        return self._of(self.manifest.changed(split=self._parts), split)

    def all_but_test(self) -> EvaluationData:
        """All images except those that were in test when the model was made."""
        n = int((self._parts == "test").sum())
        if not n:
            return self.of_split("all")
        chosen = self._of(replace(self.manifest, table=self.manifest.table[self._parts != "test"]), "all")
        left_out = finding("test-images-left-out", f"{n} images are the model's own test images and were left out", n=n)
        return replace(chosen, warnings=(*chosen.warnings, left_out))

    def of_split(self, split: str) -> EvaluationData:
        """The images in this split of the data; ``all`` for all images."""
        return self._of(self.manifest, split)

    def _of(self, manifest: Manifest, split: str) -> EvaluationData:
        wanted = [] if split == "all" else [split]
        same = bool(wanted) and manifest.fingerprint(*wanted) == Manifest(self._known, "").fingerprint(*wanted)
        name = split if same else _folder_name(self.data)
        manifest = with_faces(manifest, self.gate, *wanted)
        chosen = dataset_of(manifest, self.card.preprocessing, self.card.classes, *wanted, name=name)
        rows = manifest.rows(*wanted)
        rows = rows if self.gate is None else rows[shows_face(rows)]
        parts = self._parts[rows.index]
        seen = int(parts.isin(["train", "validation", "calibration"]).sum())
        if split != "train" and split in learned_from(self.card) and (parts == split).all():
            raise DataError(
                f"the model was refitted on its {split} images, so it cannot be evaluated on them; its card has the "
                "figures from before the refit"
            )
        warnings = manifest.warnings
        if seen and (split not in ("train", "validation", "calibration") or not same):
            text = f"{seen} of {len(chosen)} images were used to make the model"
            warnings = (*warnings, finding("images-seen-in-training", text, seen=seen, n=len(chosen)))
        return EvaluationData(chosen, rows, parts, warnings)


def _folder_name(data: str) -> str:
    """The name of a report on other images; it is never the name of one of the model's splits."""
    whole = Path(data).resolve()
    return f"{whole.parent.name}/{whole.name}" if whole.name in SPLITS else whole.name
