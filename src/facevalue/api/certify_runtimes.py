"""``certify_runtimes``: does every runtime give the model's answers?"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from facevalue.api.common.export_images import ACCURACY_IMAGES, labelled_images, ranges_images
from facevalue.api.common.inputs import Model, opened
from facevalue.api.common.model_folder import keep
from facevalue.data.scan import Data
from facevalue.evidence.findings import Finding, distinct, finding
from facevalue.evidence.provenance import Provenance, recorded
from facevalue.evidence.records import ParityFigures, RuntimeReport
from facevalue.evidence.store import check_writable
from facevalue.export import EXPORTERS, find
from facevalue.export.every_runtime import measure_all
from facevalue.export.parity import Reference
from facevalue.images.parity import parity_files
from facevalue.models.classifier import Classifier


@recorded
def certify_runtimes(
    model: Model,
    data: Data | None = None,
    *,
    classes: Mapping[str, str] | None = None,
    targets: Sequence[str] | None = None,
    calibration: Data | None = None,
    limit: int | None = ACCURACY_IMAGES,
    save: bool = True,
) -> RuntimeReport:
    """Export the model to every runtime that is installed, at every precision, and compare all answers with its own.

    The files are written to a temporary folder and removed. Labelled images and drawn files of every kind are answered,
    from file bytes to label, abstention and reason.

    Parameters
    ----------
    model : a classifier, or a model folder.
    data : labelled images; by default the model's own test images.
    classes : as for :func:`facevalue.evaluate`, for ``data``.
    targets : of :data:`facevalue.export.EXPORTERS`; by default all.
    calibration : images for ``int8``; by default the model's own calibration split.
    limit : use at most this many labelled images, drawn evenly from the classes; ``None`` for all.
    save : write the figures to the card of a model folder.

    Returns
    -------
    One row per runtime; ``passed`` says whether all may be used. A row's ``problem`` says why one may not.

    Raises
    ------
    UsageError
        There is no such target.
    DataError
        There is no labelled image.
    """
    start = time.perf_counter()
    exporters = list(EXPORTERS.values()) if targets is None else [find(name) for name in targets]
    folder = None if isinstance(model, Classifier) or not save else Path(model)
    if folder is not None:
        check_writable(folder)
    classifier = opened(model)
    images = labelled_images(classifier, data, limit, classes)
    ranges = ranges_images(classifier, calibration)
    reference = Reference(classifier, images, parity_files())
    with tempfile.TemporaryDirectory(prefix="facevalue-") as temporary:
        found = measure_all(exporters, reference, Path(temporary), ranges)
    report = RuntimeReport(
        runtimes=tuple(found.rows),
        left_out=found.left_out,
        provenance=Provenance.of(images, start),
        warnings=distinct([*(w for row in found.rows for w in row.warnings), *_failed(found.rows)]),
    )
    if folder is not None:
        keep(folder, classifier.card, report)
    return report


def _failed(rows: Sequence[ParityFigures]) -> list[Finding]:
    return [
        finding(
            "runtime-answers-otherwise",
            f"{row.target} {row.precision}: {row.problem}",
            target=row.target,
            precision=row.precision,
        )
        for row in rows
        if row.problem is not None
    ]
