"""What a card keeps of the evidence that is found after the model was made."""

from __future__ import annotations

from pathlib import Path

from facevalue.errors import UsageError
from facevalue.evidence.card import CARD, ModelCard
from facevalue.evidence.records import (
    AttackFigures,
    AttackReport,
    CertificateReport,
    CorruptionReport,
    Evaluation,
    Evidence,
    ExportReport,
)
from facevalue.support import files


def check_writable(folder: Path) -> None:
    """Raise, before the long work and not after it, where the card could not be written."""
    try:
        files.check_writable(folder / CARD)
    except UsageError as error:
        raise UsageError(f"{error}, so the figures cannot be kept there; `save=False` only shows them") from error


def keep_evidence(folder: Path, *evidence: Evidence) -> None:
    """Put evidence on the card, in place of what was found the same way before."""
    card = ModelCard.load(folder)
    kept = [old for old in card.evidence if not any(_same(old, new) for new in evidence)]
    card.changed(evidence=(*kept, *evidence)).save(folder)


def _same(old: Evidence, new: Evidence) -> bool:
    if isinstance(old, Evaluation) and isinstance(new, Evaluation):
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
