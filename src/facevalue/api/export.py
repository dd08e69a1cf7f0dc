"""``export``: write the model in another file format, with measured parity."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from facevalue.api.common.inputs import Model, opened
from facevalue.api.common.model_folder import PARITY_IMAGES, parity_images
from facevalue.data.dataset import ImageDataset
from facevalue.data.evaluation_data import evaluation_data
from facevalue.data.scan import Data
from facevalue.errors import UsageError
from facevalue.evidence.findings import finding, say
from facevalue.evidence.gate_facts import DETECTOR
from facevalue.evidence.provenance import recorded
from facevalue.evidence.records import ExportReport
from facevalue.export import EXPORTERS, find
from facevalue.faces.gate import FaceGate
from facevalue.models.classifier import Classifier
from facevalue.support import files


@recorded
def export(
    model: Model,
    output: Path | str,
    *,
    to: str = "onnx",
    images: Data | None = None,
    classes: Mapping[str, str] | None = None,
) -> ExportReport:
    """Write the model in another format. The file is kept only if its predictions agree with the model's.

    Parameters
    ----------
    model : a classifier, or a model folder.
    output : the file to write.
    to : a target in :data:`facevalue.export.EXPORTERS`.
    images : labelled images to measure parity on; by default the model's own test images, if they still exist.
    classes : as for :func:`facevalue.evaluate`, for ``images``.

    Raises
    ------
    UsageError
        There is no such target, or it cannot be used for a model of faces.
    ParityError
        The predictions of the file differ from the model's.
    DataError
        There is no image to compare on.
    """
    exporter = find(to)
    classifier, output = opened(model), Path(output)
    if classifier.gate is not None and not exporter.takes_faces:
        able = ", ".join(name for name, other in EXPORTERS.items() if other.takes_faces)
        raise UsageError(
            f"the model looks for faces before it answers, and {to} has no face detector, so it would also answer "
            f"where there is no face; export to {able}, or train with `gate` none"
        )
    report = exporter(classifier, output, _images(classifier, images, classes).some(4 * PARITY_IMAGES))
    if classifier.gate is not None:
        _put_detector_beside(classifier.gate, output)
    return report


def _put_detector_beside(gate: FaceGate, output: Path) -> None:
    beside = output.with_name(f"{output.stem}.{DETECTOR}")
    with files.replacing_file(beside) as partial:
        partial.write_bytes(gate.detector.model)
    text = (
        f"{output} takes crops of faces. The face detector is beside it in {beside}; the card's `gate` and "
        "preprocessing.face_margin, which are in the file's metadata too, say how to find and crop faces"
    )
    say([finding("export-takes-faces", text)])


def _images(classifier: Classifier, given: Data | None, classes: Mapping[str, str] | None) -> ImageDataset:
    if given is None:
        if classes:
            raise UsageError("`classes` renames the classes of `images`; give both")
        return parity_images(classifier)
    origin = classifier.origin
    known = None if origin is None else origin.manifest
    return evaluation_data(classifier.card, known, given, classes=classes, gate=classifier.gate).dataset
