"""``export``: write the model in another file format, with measured parity."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from facevalue.api.common.export_images import ACCURACY_IMAGES, PARITY_IMAGES, labelled_images, ranges_images
from facevalue.api.common.inputs import Model, opened
from facevalue.api.common.model_folder import keep
from facevalue.data.scan import Data
from facevalue.errors import UsageError
from facevalue.evidence.findings import finding, say
from facevalue.evidence.gate_facts import DETECTOR
from facevalue.evidence.provenance import recorded
from facevalue.evidence.records import ExportReport
from facevalue.evidence.store import check_writable
from facevalue.export import EXPORTERS, find
from facevalue.export.base import Precision
from facevalue.faces.gate import FaceGate
from facevalue.images.parity import parity_files
from facevalue.models.classifier import Classifier
from facevalue.support import files


@recorded
def export(
    model: Model,
    output: Path | str,
    *,
    to: str = "onnx",
    precision: Precision = "fp32",
    images: Data | None = None,
    classes: Mapping[str, str] | None = None,
    calibration: Data | None = None,
    save: bool = True,
) -> ExportReport:
    """Write the model in another format. The file is kept only if its answers agree with the model's.

    Both answer labelled images and drawn files of every kind (:func:`facevalue.images.parity.parity_files`), from file
    bytes to label, abstention and reason. At ``fp32`` all answers agree, and probabilities to 1e-4; at ``bf16`` and
    ``int8`` at most half a point of accuracy is lost.

    Parameters
    ----------
    model : a classifier, or a model folder.
    output : the file to write; a folder for the targets ``openvino``, ``hf`` and ``web``.
    to : a target in :data:`facevalue.export.EXPORTERS`.
    precision : ``fp32``, ``bf16`` or ``int8``, if the target has it.
    images : labelled images to measure parity on; by default the model's own test images, if they still exist.
    classes : as for :func:`facevalue.evaluate`, for ``images``.
    calibration : images for ``int8``, to measure the ranges of numbers on; by default the model's own calibration
        split. Not the test images.
    save : write the figures to the card of a model folder.

    Raises
    ------
    UsageError
        There is no such target or precision, it is not installed, or it cannot represent this model: many targets have
        no face detector.
    ParityError
        The answers of the file differ from the model's.
    DataError
        There is no image to compare on, or for ``int8`` none to calibrate on.
    """
    exporter = find(to)
    exporter.check(precision)
    folder = None if isinstance(model, Classifier) or not save else Path(model)
    if folder is not None:
        check_writable(folder)
    classifier = opened(model)
    output = Path(output)
    _check_place(output, classifier)
    if classifier.gate is not None and not exporter.takes_faces:
        able = ", ".join(name for name, other in EXPORTERS.items() if other.takes_faces)
        raise UsageError(
            f"the model looks for faces before it answers, and {to} has no face detector, so it would also answer "
            f"where there is no face; export to {able}, or train with `gate` none"
        )
    report = exporter(
        classifier,
        output,
        labelled_images(classifier, images, PARITY_IMAGES if precision == "fp32" else ACCURACY_IMAGES, classes),
        drawn=parity_files(),
        precision=precision,
        calibration=ranges_images(classifier, calibration) if precision == "int8" else None,
    )
    if classifier.gate is not None:
        _put_detector_beside(classifier.gate, output)
    if folder is not None:
        keep(folder, classifier.card, report)
    return report


def _check_place(output: Path, classifier: Classifier) -> None:
    """Raise if ``output`` is a file of the model folder, whose card would then no longer fit."""
    folder = classifier.folder
    if folder is not None and output.resolve().parent == folder.resolve() and output.name in classifier.card.files:
        raise UsageError(f"{output} is a part of the model folder; choose another `output`")


def _put_detector_beside(gate: FaceGate, output: Path) -> None:
    beside = output.with_name(f"{output.stem}.{DETECTOR}")
    with files.replacing_file(beside) as partial:
        partial.write_bytes(gate.detector.model)
    text = (
        f"{output} takes crops of faces. The face detector is beside it in {beside}; the card's `gate` and "
        "preprocessing.face_margin, which are in the file's metadata too, say how to find and crop faces"
    )
    say([finding("export-takes-faces", text)])
