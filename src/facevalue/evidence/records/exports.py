"""Whether exported files answer as the model does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from facevalue.evidence.findings import Finding
from facevalue.evidence.provenance import Provenance
from facevalue.evidence.record import Record
from facevalue.support.frames import frame_of

if TYPE_CHECKING:
    import pandas as pd
from facevalue.evidence.records.base import Evidence, Identity


class ParityFigures(Record, frozen=True):
    """Comparison of a file for another runtime with the model, from file bytes to label.

    Attributes
    ----------
    target, precision, bytes : what was written; the precision is ``fp32``, ``bf16`` or ``int8``.
    n, drawn : labelled images, and drawn files of all kinds without labels.
    pixel_differences, max_pixel_difference : images that the runtime reads as another network input, and the largest
        difference in levels of 255.
    labels_changed : images with another label, whether the model abstains or not.
    answers_changed : images with another label, abstention or reason.
    ties : images whose answer differs, but is decided by less than the allowed difference; not counted as changed.
    label_agreement : share of images with the same label.
    max_probability_difference : largest difference of a calibrated probability.
    max_novelty_difference : largest difference of the novelty, relative to its limit or, far beyond it, to its value;
        ``None`` if it is not compared.
    accuracy, runtime_accuracy : of the model and of the runtime on the labelled images.
    calibration_images : images that the ranges of 8-bit numbers were measured on.
    engine : versions of the packages that wrote and ran the file.
    processor : 8-bit and bfloat16 numbers are computed otherwise on others.
    problem : why the file must not be used; ``None`` if it may be.
    """

    target: str = ""
    precision: str = "fp32"
    bytes: int = 0
    n: int = 0
    drawn: int = 0
    pixel_differences: int = 0
    max_pixel_difference: int = 0
    labels_changed: int = 0
    answers_changed: int = 0
    ties: int = 0
    label_agreement: float = 1.0
    max_probability_difference: float = 0.0
    max_novelty_difference: float | None = None
    accuracy: float = 0.0
    runtime_accuracy: float = 0.0
    calibration_images: int = 0
    engine: dict[str, str] = {}
    processor: str = ""
    problem: str | None = None
    warnings: tuple[Finding, ...] = ()


class ExportReport(Evidence, frozen=True, tag="export"):
    """Comparison of an exported file with the model on ``n`` images, from file bytes to label.

    The fields are those of :class:`ParityFigures`. Cards from before version 0.3 have only the first six.
    """

    target: str
    path: str
    bytes: int
    label_agreement: float
    max_probability_difference: float
    precision: str = "fp32"
    drawn: int = 0
    pixel_differences: int = 0
    max_pixel_difference: int = 0
    labels_changed: int = 0
    answers_changed: int = 0
    ties: int = 0
    max_novelty_difference: float | None = None
    accuracy: float | None = None
    runtime_accuracy: float | None = None
    calibration_images: int = 0
    engine: dict[str, str] = {}
    processor: str = ""

    @classmethod
    def of(cls, figures: ParityFigures, path: str, provenance: Provenance) -> ExportReport:
        """The evidence on the file ``path`` with these figures."""
        shared = set(cls.__struct_fields__) & set(ParityFigures.__struct_fields__)
        return cls(path=path, provenance=provenance, **{name: getattr(figures, name) for name in shared})

    def identity(self) -> Identity:
        return (self.target, self.path)

    def title(self) -> str:
        return f"export to {self.target}"


class RuntimeReport(Evidence, frozen=True, tag="runtimes"):
    """Comparison of all runtimes that are installed with the model, on the same images.

    Attributes
    ----------
    runtimes : one row for each target and precision.
    left_out : by target and precision, why it was not measured: not installed, or it cannot represent the model.
    """

    runtimes: tuple[ParityFigures, ...]
    left_out: dict[str, str] = {}

    @property
    def passed(self) -> bool:
        """Whether every runtime that was measured may be used."""
        return all(one.problem is None for one in self.runtimes)

    def identity(self) -> Identity:
        return (self.split, self.provenance.fingerprint)

    def title(self) -> str:
        return f"runtimes on {self.split}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, with ``passed``."""
        return {"passed": self.passed, **super().to_dict()}

    def to_frame(self) -> pd.DataFrame:
        """One row per runtime."""
        return frame_of([one.to_dict() for one in self.runtimes])
