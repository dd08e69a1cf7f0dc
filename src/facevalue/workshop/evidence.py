"""Evidence: the pictures that a model is asked about, and what its card keeps of the answers."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from facevalue import files, progress
from facevalue.card import CARD, MANIFEST, Card
from facevalue.classifier import Classifier
from facevalue.data.manifest import SPLITS, Manifest
from facevalue.data.pictures import Pictures, pictures
from facevalue.data.scan import scan
from facevalue.data.splits import origins
from facevalue.errors import DataError, UsageError
from facevalue.evidence import (
    AttackFigures,
    AttackReport,
    CertificateReport,
    CorruptionReport,
    Evidence,
    ExportReport,
    Report,
)
from facevalue.report import write_report
from facevalue.workshop.own_pictures import learned_from

PARITY_PICTURES = 32
"""Pictures that an exported file is compared on."""


def labelled(
    folder: Path, classifier: Classifier, data: Path, split: str | None = None, own_split: str = "test"
) -> tuple[Pictures, tuple[str, ...]]:
    """Pictures of ``data`` for a model, and what should be known of them: were they trained on?"""
    chosen, warnings, _ = labelled_rows(folder, classifier, data, split, own_split)
    return chosen, warnings


def labelled_rows(
    folder: Path, classifier: Classifier, data: Path, split: str | None = None, own_split: str = "test"
) -> tuple[Pictures, tuple[str, ...], pd.DataFrame]:
    """As :func:`labelled`, and the pictures' rows of the manifest, in their order."""
    if split not in (None, "all", *SPLITS):
        raise UsageError(f"expected split to be all or one of {', '.join(SPLITS)}, but got {split!r}")
    manifest = scan(data)
    own = pd.read_parquet(classifier.card.checked_file(folder, MANIFEST))
    part = _own_splits(data, manifest, own)
    given = set(manifest.readable["split"]) - {""}
    familiar = set(manifest.readable["sha256"]) == set(own["sha256"][own["split"] != ""])
    if given and split is None:
        # Test is never what a model is calibrated on: nothing would be left to measure that by.
        held_out = (
            ("calibration", "validation") if own_split == "calibration" else ("test", "calibration", "validation")
        )
        split = next((s for s in held_out if s in given), None)
        if split is None and own_split == "calibration":
            raise DataError(
                f"{data} has {' and '.join(sorted(given))} pictures and none for calibration; "
                "give a folder of other pictures that the model has not seen"
            )
        split = split or "test"
    elif not given and (familiar if split is None else split != "all"):
        # The folder that the model was made from: by default the part of it that was kept for this.
        split = split or own_split
        manifest = manifest.changed(split=part)
        progress.note(f"{data} is what the model was made from: taking its {split} pictures")
    wanted = [split] if split not in (None, "all") else []
    same = bool(wanted) and manifest.fingerprint(*wanted) == Manifest(own, "").fingerprint(*wanted)
    chosen = pictures(
        manifest,
        classifier.card.geometry,
        classifier.card.classes,
        *wanted,
        name=wanted[0] if same else _folder_name(data),
    )
    took_part, learned = part[manifest.rows(*wanted).index], learned_from(classifier.card)
    seen = int(took_part.isin(["train", "validation", "calibration"]).sum())
    if seen and split != "train" and split in learned:
        raise DataError(
            f"the model has learned from its {split} pictures too (refit); figures on its card are from before that"
        )
    if own_split == "calibration" and took_part.isin(learned).all():
        raise DataError(
            f"the model has learned from all {len(chosen)} pictures of {data}; calibrated on them it would be too "
            "sure, so give others"
        )
    warnings = manifest.warnings
    if seen and (split not in ("train", "validation", "calibration") or not same):
        warnings = (*warnings, f"{seen} of {len(chosen)} pictures took part in making the model")
    return chosen, warnings, manifest.rows(*wanted)


def _own_splits(data: Path, manifest: Manifest, own: pd.DataFrame) -> pd.Series[str]:
    """For every picture the split that it, or the file it was made from, had when the model was made, or nothing."""
    splits = dict(zip(own["sha256"], own["split"], strict=True))
    sha256 = manifest.table["sha256"]
    return sha256.map(splits).fillna(sha256.map(origins(data)).map(splits)).fillna("")


def _folder_name(data: Path) -> str:
    """What a report on other pictures is called: never as a split of the model's own."""
    whole = data.resolve()
    return f"{whole.parent.name}/{whole.name}" if whole.name in SPLITS else whole.name


def ask_kept(folder: Path) -> None:
    """Raise, before the long work and not after it, where the card could not be written."""
    try:
        files.ask_writable(folder / CARD)
    except UsageError as error:
        raise UsageError(f"{error}, so the figures cannot be kept there; --no-save only shows them") from error


def keep(folder: Path, *evidence: Evidence) -> None:
    """Put evidence on the card, in place of what was found the same way before, and draw the report anew."""
    card = Card.load(folder)
    kept = [old for old in card.evidence if not any(_same(old, new) for new in evidence)]
    card.changed(evidence=(*kept, *evidence)).save(folder)
    write_report(folder)


def _same(old: Evidence, new: Evidence) -> bool:
    if isinstance(old, Report) and isinstance(new, Report):
        return (old.split, old.fingerprint) == (new.split, new.fingerprint)
    if isinstance(old, AttackReport) and isinstance(new, AttackReport):
        asked = [_asked(r) for r in old.results] == [_asked(r) for r in new.results]
        return asked and old.fingerprint == new.fingerprint
    if isinstance(old, CorruptionReport) and isinstance(new, CorruptionReport):
        return (old.split, old.fingerprint) == (new.split, new.fingerprint)
    if isinstance(old, CertificateReport) and isinstance(new, CertificateReport):
        return (old.split, old.fingerprint, old.sigma) == (new.split, new.fingerprint, new.sigma)
    if isinstance(old, ExportReport) and isinstance(new, ExportReport):
        return (old.target, old.path) == (new.target, new.path)
    return False


def _asked(row: AttackFigures) -> tuple[str, str, float, str | None, bool, str | None]:
    return (row.attack, row.norm, row.eps, row.defense, row.adaptive, row.target)
