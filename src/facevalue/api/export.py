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
from facevalue.evidence.provenance import recorded
from facevalue.evidence.records import ExportReport
from facevalue.export import find
from facevalue.models.classifier import Classifier


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
    output : the file to write; for ``web``, a folder.
    to : a target in :data:`facevalue.export.EXPORTERS`.
    images : labelled images to measure parity on; by default the model's own test images, if they still exist.
    classes : as for :func:`facevalue.evaluate`, for ``images``.

    Raises
    ------
    UsageError
        There is no such target.
    ParityError
        The predictions of the file differ from the model's.
    DataError
        There is no image to compare on.
    """
    exporter = find(to)
    classifier = opened(model)
    return exporter(classifier, Path(output), _images(classifier, images, classes).some(4 * PARITY_IMAGES))


def _images(classifier: Classifier, given: Data | None, classes: Mapping[str, str] | None) -> ImageDataset:
    if given is None:
        if classes:
            raise UsageError("`classes` renames the classes of `images`; give both")
        return parity_images(classifier)
    origin = classifier.origin
    return evaluation_data(classifier.card, None if origin is None else origin.manifest, given, classes=classes).dataset
