"""Repeats the evaluations on a card, and says which figures no longer hold."""

from __future__ import annotations

from pathlib import Path

from facevalue.api.common.inputs import EvaluationContext
from facevalue.data.scan import Data
from facevalue.errors import DataError, UsageError
from facevalue.evaluation.differences import differences, output_differences
from facevalue.evaluation.evaluate import evaluated
from facevalue.evidence.card import OUTPUTS, ModelCard
from facevalue.evidence.outputs import read_outputs
from facevalue.evidence.records import Evaluation
from facevalue.evidence.verification import FolderCheck


def repeated_evaluations(folder: Path, data: Data) -> FolderCheck:
    """Evaluate the model on ``data`` again, once for each evaluation on its card that was made on these images."""
    card = ModelCard.load(folder)
    # Image by image where the outputs are stored: an image that lies on a limit may fall on its other side on another
    # processor, which changes a count of abstentions and is no fault. That the figures are those of the stored outputs
    # is a check of its own.
    path = folder / OUTPUTS
    outputs = read_outputs(path, card.classes) if OUTPUTS in card.files and path.is_file() else ()
    stored = {each.identity: each for each in outputs}
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
        now = evaluated(context.classifier, context.dataset)
        repeated.append(kept.split)
        before = stored.get(kept.identity())
        found = (
            differences(kept.to_dict(), now.report.to_dict())
            if before is None
            else output_differences(before, now.outputs)
        )
        problems += [f"{kept.split}: {text}" for text in found]
    text = f"evaluated again: {', '.join(repeated) or 'nothing'}"
    if others:
        text += f"; these images were not found in the data: {', '.join(others)}"
    if not repeated:
        return FolderCheck.of("data", text, [*problems, "no evaluation on the card was made on these images"])
    return FolderCheck.of("data", text, problems)
