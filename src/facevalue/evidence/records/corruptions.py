"""Accuracy on corrupted images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from facevalue.evidence.record import Record
from facevalue.support.frames import frame_of

if TYPE_CHECKING:
    import pandas as pd
from facevalue.evidence.records.base import Evidence, Identity, Interval


class CorruptionFigures(Record, frozen=True):
    """Accuracy under one everyday corruption at one strength, in the corruption's own ``unit``."""

    corruption: str
    strength: float
    unit: str
    n: int
    accuracy: float
    accuracy_ci: Interval


class CorruptionReport(Evidence, frozen=True, tag="corruptions"):
    """Accuracy under everyday corruptions, applied to each upright image before preprocessing.

    ``mean_accuracy`` is the mean over all corruptions and strengths; each corruption has the same weight.
    """

    classes: tuple[str, ...]
    clean_accuracy: float
    clean_ci: Interval
    mean_accuracy: float
    results: tuple[CorruptionFigures, ...]

    def identity(self) -> Identity:
        return (self.split, self.provenance.fingerprint)

    def title(self) -> str:
        return f"everyday corruptions on {self.split}"

    def to_frame(self) -> pd.DataFrame:
        """One row per corruption and strength."""
        return frame_of([row.to_dict() for row in self.results])
