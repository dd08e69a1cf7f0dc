"""A model's probabilities before and after calibration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from facevalue.evidence.record import Record
from facevalue.support.frames import frame_of

if TYPE_CHECKING:
    import pandas as pd
from facevalue.evidence.records.base import Evidence, Identity
from facevalue.evidence.records.evaluation import ProbabilityFigures


class ConditionFigures(Record, frozen=True):
    """Probabilities on the same images under one condition: ``original``, or one kind of damage such as ``jpeg-60``.

    ``before`` is the softmax of the network, ``after`` the calibrated probabilities. ``error_answered`` is the share of
    wrong answers among the images that are answered, ``None`` if none is.
    """

    condition: str
    n: int
    accuracy: float
    coverage: float
    error_answered: float | None
    before: ProbabilityFigures
    after: ProbabilityFigures


class CalibrationReport(Evidence, frozen=True, tag="calibration"):
    """Probabilities before and after calibration, as the images are and after everyday damage.

    Attributes
    ----------
    method : of calibration.
    cross_validated : whether each image's probabilities are from a fit without its group. If not, the model was
        calibrated on other images than these.
    """

    classes: tuple[str, ...]
    method: str
    cross_validated: bool
    conditions: tuple[ConditionFigures, ...]

    def identity(self) -> Identity:
        return (self.split, self.provenance.fingerprint)

    def title(self) -> str:
        return f"calibration on {self.split}"

    def to_frame(self) -> pd.DataFrame:
        """One row per condition, with the figures after calibration."""
        rows = [{**one.after.to_dict(), **one.to_dict()} for one in self.conditions]
        return frame_of([{k: v for k, v in row.items() if k not in ("before", "after", "reliability")} for row in rows])
