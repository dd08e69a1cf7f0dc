"""Add evidence to the card of a finished model."""

from __future__ import annotations

from pathlib import Path

from facevalue.errors import UsageError
from facevalue.evidence.card import CARD, ModelCard
from facevalue.evidence.records import AnyEvidence
from facevalue.support import files


def check_writable(folder: Path) -> None:
    """Raise if the card cannot be written: before the long work, not after it."""
    try:
        files.check_writable(folder / CARD)
    except UsageError as error:
        raise UsageError(f"{error}, so the figures cannot be saved; give `save=False` to only show them") from error


def keep_evidence(folder: Path, *evidence: AnyEvidence) -> None:
    """Add evidence to the card; it replaces older evidence of the same kind and identity."""
    card = ModelCard.load(folder)
    new = {(type(e), e.identity()) for e in evidence}
    others = [old for old in card.evidence if (type(old), old.identity()) not in new]
    card.changed(evidence=(*others, *evidence)).save(folder)
