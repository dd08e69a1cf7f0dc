"""What a card keeps of the evidence that is found after the model was made."""

from __future__ import annotations

from pathlib import Path

from facevalue.errors import UsageError
from facevalue.evidence.card import CARD, ModelCard
from facevalue.evidence.records import AnyEvidence
from facevalue.support import files


def check_writable(folder: Path) -> None:
    """Raise, before the long work and not after it, where the card could not be written."""
    try:
        files.check_writable(folder / CARD)
    except UsageError as error:
        raise UsageError(f"{error}, so the figures cannot be kept there; `save=False` only shows them") from error


def keep_evidence(folder: Path, *evidence: AnyEvidence) -> None:
    """Put evidence on the card, in place of what was found the same way before."""
    card = ModelCard.load(folder)
    new = {(type(e), e.identity()) for e in evidence}
    kept = [old for old in card.evidence if (type(old), old.identity()) not in new]
    card.changed(evidence=(*kept, *evidence)).save(folder)
