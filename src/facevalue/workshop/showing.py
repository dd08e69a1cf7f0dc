"""Using a model and showing it: verdicts, explanations, other formats, the page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from facevalue.card import MANIFEST
from facevalue.classifier import Classifier, load
from facevalue.data.manifest import Manifest
from facevalue.data.pictures import Pictures, pictures
from facevalue.errors import DataError, UsageError
from facevalue.evidence import ExportReport
from facevalue.explanations import explain_files
from facevalue.export import EXPORTERS
from facevalue.report import write_report
from facevalue.runtime.predictor import open_folder
from facevalue.verdict import Verdict
from facevalue.workshop.asked_pictures import to_judge_by
from facevalue.workshop.making import PARITY_PICTURES


def predict(model: Path | str, inputs: Sequence[Path | str], *, heat: bool = False) -> Iterator[Verdict]:
    """Verdicts on files and folders, in order; :func:`facevalue.open` is the same without torch."""
    return open_folder(Path(model)).predict([Path(p) for p in inputs], heat=heat)


def explain(
    model: Path | str, images: Sequence[Path | str], output: Path | str, *, method: str = "gradcam"
) -> dict[str, Any]:
    """Pictures of what the model looked at; returns the files written and how faithful they are."""
    return explain_files(load(Path(model)), [Path(p) for p in images], Path(output), method)


def export(
    model: Path | str,
    output: Path | str,
    *,
    to: str = "onnx",
    pictures: Path | str | None = None,
    command: str = "",
) -> ExportReport:
    """Another file format that answers as the model does; refused where it does not.

    Parameters
    ----------
    pictures : a folder or manifest to measure the parity on; by default the model's own test pictures, where they
        still are.
    """
    if to not in EXPORTERS:
        raise UsageError(f"expected --to to be one of {', '.join(EXPORTERS)}, but got {to!r}")
    folder = Path(model)
    classifier = load(folder)
    report = EXPORTERS[to](classifier, Path(output), _parity_pictures(folder, classifier, pictures))
    return report.changed(command=command)


def _parity_pictures(folder: Path, classifier: Classifier, given: Path | str | None) -> Pictures:
    if given is not None:
        return to_judge_by(folder, classifier.card, Path(given)).pictures.some(4 * PARITY_PICTURES)
    table = pd.read_parquet(classifier.card.checked_file(folder, MANIFEST))
    there = table[(table["split"] == "test") & table["path"].map(lambda p: Path(p).is_file())]
    if there.empty:
        raise DataError(f"the test pictures of {folder} are no longer where they were; give others with --pictures DIR")
    manifest = Manifest(there, source=classifier.card.data.source)
    return pictures(manifest, classifier.card.geometry, classifier.card.classes, "test").some(4 * PARITY_PICTURES)


def report(model: Path | str, output: Path | str | None = None) -> Path:
    """The model's card as one self-contained page; returns where it is."""
    return write_report(Path(model), None if output is None else Path(output))
