"""What attacks on a model with stable answers measure."""

from __future__ import annotations

from facevalue.evidence.card import ModelCard
from facevalue.evidence.findings import Finding, finding


def scored_once(card: ModelCard) -> tuple[Finding, ...]:
    """A note if the model's answers are made from several versions of a network input, and attacks score one."""
    if card.inputs == 1:
        return ()
    text = (
        f"the attacks change and score single network inputs; the model's answers are made from {card.inputs} versions "
        "of each, and no attack here goes through all of them: robust accuracy is that of the network, not of stable "
        "answers"
    )
    return (finding("attack-scores-once", text, inputs=card.inputs),)
