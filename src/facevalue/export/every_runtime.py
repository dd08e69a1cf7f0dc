"""Measure one model on every target and precision, on the same images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from facevalue.data.dataset import ImageDataset
from facevalue.errors import FaceValueError
from facevalue.evidence.records import ParityFigures
from facevalue.export.base import Exporter, Precision
from facevalue.export.parity import Reference
from facevalue.support import progress


@dataclass
class Measured:
    """What was measured, and what was not.

    Attributes
    ----------
    rows : one for each target and precision.
    files : what each row was measured on, by target and precision.
    left_out : by target and precision, why it was not measured.
    """

    rows: list[ParityFigures] = field(default_factory=list)
    files: dict[tuple[str, Precision], Path] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)


def measure_all(
    exporters: Sequence[Exporter], reference: Reference, folder: Path, calibration: ImageDataset | None
) -> Measured:
    """Write and measure each target at each of its precisions.

    Parameters
    ----------
    reference : the model and its answers.
    folder : the files are written below it, and left there.
    calibration : images for ``int8``.
    """
    found = Measured()
    jobs = [(exporter, precision) for exporter in exporters for precision in exporter.precisions]
    for exporter, precision in progress.track(jobs, "certifying", unit="runtimes"):
        path = folder / f"{exporter.name}-{precision}"
        try:
            exporter.check(precision)
            path.mkdir() if exporter.folder else path.touch()
            row = exporter.measure(reference, path, precision=precision, calibration=calibration)
        except FaceValueError as error:
            found.left_out[f"{exporter.name} {precision}"] = str(error)
        else:
            found.rows.append(row)
            found.files[exporter.name, precision] = path
    return found
