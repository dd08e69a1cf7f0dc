"""``predict``: predictions for images."""

from __future__ import annotations

from pathlib import Path

from facevalue.errors import UsageError
from facevalue.evidence.findings import say
from facevalue.faces.gate import WhichFaces
from facevalue.images.sources import Images
from facevalue.models.classifier import Classifier
from facevalue.runtime import open_folder
from facevalue.runtime.gate import GateChoice
from facevalue.runtime.predictor import stability_findings
from facevalue.types import Prediction


def predict(
    model: Classifier | Path | str,
    images: Images,
    *,
    heat: bool = False,
    faces: WhichFaces = "largest",
    gate: GateChoice | None = None,
    gate_model: Path | str | None = None,
    stable: int | None = None,
) -> list[Prediction]:
    """Predictions for images, in order; ``facevalue.open(folder).stream`` gives them one by one.

    Parameters
    ----------
    model : a classifier, or a model folder, whose ``model.onnx`` is used.
    images : one image or many, each a path, the bytes of a file, a Pillow image, or a uint8 array (h, w, 3) RGB or
        (h, w) grey. A folder means all image files below it, sorted.
        heat : also return :attr:`~facevalue.types.Prediction.heat`, if the network supports it.
    faces : for a model of faces: the ``largest`` face of an image, or ``all``, with one prediction each.
    gate, gate_model : for a model folder, see :func:`facevalue.open`.
    stable : make each answer from so many versions of the network input, see :func:`facevalue.open`.

    Raises
    ------
    UsageError
        ``gate`` is given for a classifier in memory, or there is no face detector.
    """
    if isinstance(model, Classifier):
        if gate is not None or gate_model is not None:
            raise UsageError("`gate` is for model folders; a classifier in memory has the gate it was trained with")
        card = model.card.with_inputs(stable)
        say(stability_findings(model.card, card))
        return (model if card is model.card else model.changed(card)).predict(images, heat=heat, faces=faces)
    return open_folder(model, gate=gate, gate_model=gate_model, stable=stable).predict(images, heat=heat, faces=faces)
