"""Figures on sources that nothing was learned from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from facevalue.evidence.record import Record
from facevalue.evidence.records.base import Evidence, Identity, Interval
from facevalue.support.frames import frame_of

if TYPE_CHECKING:
    import pandas as pd


class LeftOutFigures(Record, frozen=True):
    """One source (or family) under one condition, by heads that learned from none of its images.

    Rates and areas are means over the seeds; ``auroc_range`` is the lowest and the highest.

    Attributes
    ----------
    source, label : its name and its class.
    condition : ``clean``, or a pipeline of :data:`facevalue.images.remaking.PIPELINES`.
    n, others : its images, and the held-out images of the other classes that they are compared with.
    learned : its images that the model was trained on, and which the heads did not get.
    balanced_accuracy : mean of its recall and of the recall of ``others``, at the model's own threshold.
    recall : share of its images that get their own class.
    tpr_at_half_percent, tpr_at_one_percent : share of the positives at a threshold that at most 0.5 % or 1 % of the
        negatives exceed; ``None`` for more than two classes.
    accused : its images, summed over the seeds, that are called positive although the source is of the negative class;
        ``None`` for other sources. ``accused_ci`` is the exact (Clopper-Pearson) interval of the rate of the seed with
        most of them, ``accused_rate`` the mean.
    """

    source: str
    label: str
    condition: str
    n: int
    others: int
    learned: int
    auroc: float
    auroc_range: Interval
    balanced_accuracy: float
    recall: float
    tpr_at_half_percent: float | None = None
    tpr_at_one_percent: float | None = None
    accused: tuple[int, ...] | None = None
    accused_rate: float | None = None
    accused_ci: Interval | None = None


class LeftOutReport(Evidence, frozen=True, tag="left-out"):
    """Each source left out in turn: the head is trained again without it and tested on it.

    Attributes
    ----------
    by : ``source`` or ``family``.
    seeds : each deals the training, validation and calibration images anew; the first is the model's own split.
    positive : the class that an image is accused of; ``None`` for more than two classes.
    threshold : of the model, on the probability of ``positive``.
    results : one record for each source and condition.
    untold : sources that could not be left out or not as asked, and why.
    """

    by: Literal["source", "family"]
    classes: tuple[str, ...]
    seeds: tuple[int, ...]
    positive: str | None
    threshold: float
    results: tuple[LeftOutFigures, ...]
    untold: tuple[str, ...] = ()

    def identity(self) -> Identity:
        return (self.split, self.provenance.fingerprint, self.by, self.seeds)

    def title(self) -> str:
        return f"each {self.by} left out, on {self.split}"

    def of(self, condition: str) -> tuple[LeftOutFigures, ...]:
        """The figures under one condition."""
        return tuple(one for one in self.results if one.condition == condition)

    def to_frame(self) -> pd.DataFrame:
        """One row per source and condition."""
        return frame_of([row.to_dict() for row in self.results])
