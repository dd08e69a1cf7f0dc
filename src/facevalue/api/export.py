"""``export``: another file format that answers as the model does."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from facevalue.api.common.model_folder import PARITY_IMAGES
from facevalue.data.dataset import ImageDataset, dataset_of
from facevalue.data.evaluation_data import evaluation_data
from facevalue.data.manifest import Manifest
from facevalue.errors import DataError, UsageError
from facevalue.evidence.card import MANIFEST
from facevalue.evidence.records import ExportReport
from facevalue.export import EXPORTERS
from facevalue.models.classifier import Classifier, load


def export(
    model: Path | str,
    output: Path | str,
    *,
    to: str = "onnx",
    images: Path | str | None = None,
    command: str = "",
) -> ExportReport:
    """Another file format that answers as the model does; refused where it does not.

    Parameters
    ----------
    images : a folder or manifest to measure the parity on; by default the model's own test images, where they
        still are.
    """
    if to not in EXPORTERS:
        raise UsageError(f"expected --to to be one of {', '.join(EXPORTERS)}, but got {to!r}")
    folder = Path(model)
    classifier = load(folder)
    report = EXPORTERS[to](classifier, Path(output), _parity_images(folder, classifier, images))
    return report.changed(command=command)


def _parity_images(folder: Path, classifier: Classifier, given: Path | str | None) -> ImageDataset:
    if given is not None:
        return evaluation_data(folder, classifier.card, Path(given)).dataset.some(4 * PARITY_IMAGES)
    table = pd.read_parquet(classifier.card.checked_file(folder, MANIFEST))
    there = table[(table["split"] == "test") & table["path"].map(lambda p: Path(p).is_file())]
    if there.empty:
        raise DataError(f"the test images of {folder} are no longer where they were; give others with --images DIR")
    manifest = Manifest(there, source=classifier.card.data.source)
    return dataset_of(manifest, classifier.card.preprocessing, classifier.card.classes, "test").some(4 * PARITY_IMAGES)
