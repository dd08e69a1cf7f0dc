"""Repeats the evaluations on a card, and says which figures no longer hold."""

from __future__ import annotations

from pathlib import Path

from facevalue.api.common.inputs import EvaluationContext
from facevalue.data.scan import Data
from facevalue.errors import DataError, UsageError
from facevalue.evaluation.differences import differences
from facevalue.evaluation.evaluate import evaluate_dataset
from facevalue.evidence.card import ModelCard
from facevalue.evidence.records import Evaluation
from facevalue.evidence.verification import FolderCheck


def repeated_evaluations(folder: Path, data: Data) -> FolderCheck:
    """Evaluate the model on ``data`` again, once for each evaluation on its card that was made on these images."""
    card = ModelCard.load(folder)
    repeated, others, problems = [], [], list[str]()
    for kept in card.of_kind(Evaluation):
        if card.refitted and kept.split in ("validation", "calibration"):
            others.append(f"{kept.split} (of the model before the second training)")
            continue
        try:
            context = EvaluationContext.of(folder, data, split=kept.split, save=False)
        except (UsageError, DataError):
            others.append(kept.split)
            continue
        if context.dataset.fingerprint != kept.provenance.fingerprint:
            others.append(kept.split)
            continue
        now = evaluate_dataset(context.classifier, context.dataset)
        repeated.append(kept.split)
        problems += [f"{kept.split}: {text}" for text in differences(kept.to_dict(), now.to_dict())]
    text = f"evaluated again: {', '.join(repeated) or 'nothing'}"
    if others:
        text += f"; these images were not found in the data: {', '.join(others)}"
    if not repeated:
        return FolderCheck.of("data", text, [*problems, "no evaluation on the card was made on these images"])
    return FolderCheck.of("data", text, problems)
