"""Computes the figures on a card again from the outputs that the model folder keeps. Needs neither torch nor images."""

from __future__ import annotations

from pathlib import Path

from facevalue.errors import ModelFolderError
from facevalue.evaluation.differences import differences
from facevalue.evaluation.figures import figures_of
from facevalue.evidence.card import OUTPUTS, ModelCard
from facevalue.evidence.outputs import read_outputs
from facevalue.evidence.records import Evaluation
from facevalue.evidence.verification import FolderCheck


def recomputed_figures(folder: Path, card: ModelCard) -> FolderCheck:
    """Compare every evaluation on the card with the figures of its stored outputs."""
    try:
        stored = {outputs.identity: outputs for outputs in read_outputs(folder / OUTPUTS, card.classes)}
    except ModelFolderError as error:
        return FolderCheck.of("figures", OUTPUTS, [str(error)])
    done, without, problems = [], [], list[str]()
    for kept in card.of_kind(Evaluation):
        outputs = stored.get(kept.identity())
        if outputs is None:
            without.append(kept.split)
            continue
        now = figures_of(outputs, card.with_inputs(0 if kept.inputs == 1 else kept.inputs))
        done.append(f"{kept.split} ({kept.n:,} images)")
        problems += [f"{kept.split}: {text}" for text in differences(kept.to_dict(), now.to_dict())]
    text = f"computed again from stored outputs: {', '.join(done) or 'nothing'}"
    if without:
        text += f"; without stored outputs: {', '.join(without)}"
    return FolderCheck.of("figures", text, problems)
