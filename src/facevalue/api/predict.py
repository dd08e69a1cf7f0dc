"""``predict``: predictions for images."""

from __future__ import annotations

from pathlib import Path

from facevalue.errors import UsageError
from facevalue.evidence.findings import say
from facevalue.faces.gate import WhichFaces
from facevalue.images.sources import Images
from facevalue.marks import MarkReader
from facevalue.models.classifier import Classifier
from facevalue.runtime import open_folder
from facevalue.runtime.base import ImagePredictor
from facevalue.runtime.gate import GateChoice
from facevalue.runtime.predictor import stability_findings
from facevalue.runtime.unchecked_marks import UncheckedMarks
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
    marks: bool = False,
    trust_list: Path | str | None = None,
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
    marks : also return :attr:`~facevalue.types.Prediction.marks`, what the files say of their own origin.
    trust_list : the certificates that vouch for signers, see :class:`facevalue.marks.MarkReader`; implies ``marks``.

    Raises
    ------
    UsageError
        ``gate`` is given for a classifier in memory, or there is no face detector; ``trust_list`` has no certificate,
        or the extra ``provenance`` is missing.
    """
    if isinstance(model, Classifier):
        if gate is not None or gate_model is not None:
            raise UsageError("`gate` is for model folders; a classifier in memory has the gate it was trained with")
        card = model.card.with_inputs(stable)
        say(stability_findings(model.card, card))
        opened: ImagePredictor = model if card is model.card else model.changed(card)
    else:
        opened = open_folder(model, gate=gate, gate_model=gate_model, stable=stable)
    if not marks and trust_list is None:
        return opened.predict(images, heat=heat, faces=faces)
    with MarkReader(trust_list) as reader:
        found = opened.predict(images, heat=heat, faces=faces, marks=reader)
    unchecked = UncheckedMarks()
    for prediction in found:
        unchecked.add(prediction)
    say(unchecked.findings)
    return found
