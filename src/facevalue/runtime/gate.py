"""Open the face gate of a model folder, or the one that a user asks for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from facevalue.errors import UsageError
from facevalue.evidence.card import ModelCard
from facevalue.evidence.findings import finding, say
from facevalue.evidence.gate_facts import DETECTOR
from facevalue.faces import model_file
from facevalue.faces.gate import FaceGate
from facevalue.faces.yunet import YuNet

GateChoice = Literal["face", "none"]


def gate_of(
    folder: Path, card: ModelCard, gate: GateChoice | None = None, gate_model: str | os.PathLike[str] | None = None
) -> tuple[ModelCard, FaceGate | None]:
    """The card to use and the gate of a model folder.

    Parameters
    ----------
    gate, gate_model : see :func:`facevalue.runtime.open_folder`.

    Raises
    ------
    ModelFolderError
        The detector in the folder is missing or was changed.
    UsageError
        ``gate`` is unknown, or there is no face detector.
    """
    if gate not in ("face", "none", None):
        raise UsageError(f"Expected `gate` to be face or none, but got {gate!r}")
    if gate_model is not None and gate == "none":
        raise UsageError("`gate_model` needs `gate` face")
    if card.gate is None:
        if gate != "face" and gate_model is None:
            return card, None
        looking = model_file.published_gate(gate_model)
        text = (
            "the model was trained on whole images: those without a face are refused, and of the others the network "
            "gets the whole image, not the face"
        )
        say([finding("face-gate-not-in-training", text)])
        return card, looking
    if gate == "none":
        text = (
            "the model was trained on faces and now gets whole images (`gate` none): it also answers where there is no "
            "face, and the figures on its card do not hold"
        )
        say([finding("face-gate-off", text)])
        return card.of_whole_images, None
    if gate_model is not None:
        detector = model_file.found(gate_model, card.gate.sha256)
    else:
        detector = YuNet(card.checked_file(folder, DETECTOR).read_bytes(), str(folder / DETECTOR))
    return card, FaceGate(card.gate, detector)
