"""A model's figures on labelled images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from facevalue.evidence.findings import Finding
from facevalue.evidence.record import Record
from facevalue.support.frames import frame_of

if TYPE_CHECKING:
    import pandas as pd
from facevalue.evidence.records.base import Evidence, Identity, Interval


class Bin(Record, frozen=True):
    """One bar of a reliability diagram: predictions with confidence in (low, high], mean confidence and accuracy."""

    low: float
    high: float
    n: int
    confidence: float
    accuracy: float


class ProbabilityFigures(Record, frozen=True):
    """How well probabilities fit, with 95 % bootstrap intervals over groups.

    Attributes
    ----------
    ece, ece_equal_mass : mean distance between confidence and accuracy over 15 bins of equal width, or of equally many
        images.
    ece_by_chance : the ``ece`` that a perfectly calibrated model would have on as many images.
    ece_classwise : the same for the probability of each class; the mean over classes.
    brier : mean squared distance to the one-hot truth, in [0, 2].
    nll : log loss, in nats.
    reliability : the bins of ``ece``.
    """

    ece: float
    ece_ci: Interval
    ece_by_chance: float
    ece_equal_mass: float
    ece_equal_mass_ci: Interval
    ece_classwise: float
    ece_classwise_ci: Interval
    brier: float
    brier_ci: Interval
    nll: float
    nll_ci: Interval
    reliability: tuple[Bin, ...]


class SliceFigures(Record, frozen=True):
    """Figures of a model on the images with one value of a column, with 95 % Wilson intervals.

    ``count``, ``recall`` and ``recall_ci`` are by class, for the classes that occur. ``small`` marks a slice with too
    few images to judge.
    """

    value: str
    n: int
    accuracy: float
    accuracy_ci: Interval
    count: dict[str, int]
    recall: dict[str, float]
    recall_ci: dict[str, Interval]
    small: bool


class Gap(Record, frozen=True):
    """The largest difference of a figure (``accuracy``, ``recall of CLASS``) between slices that are not small.

    ``gap_ci`` is a simultaneous 95 % interval for all pairs of slices; ``sure`` is True if it lies above 0.
    """

    figure: str
    best: str
    worst: str
    gap: float
    gap_ci: Interval
    sure: bool


class SliceStudy(Record, frozen=True):
    """Figures by the values of one column of the manifest; ``missing`` is the number of images without a value."""

    column: str
    slices: tuple[SliceFigures, ...]
    gaps: tuple[Gap, ...]
    missing: int = 0
    warnings: tuple[Finding, ...] = ()

    def to_frame(self) -> pd.DataFrame:
        """One row per slice."""
        return frame_of([{"column": self.column, **one.to_dict()} for one in self.slices])


class Evaluation(Evidence, frozen=True, tag="evaluation"):
    """Figures of a model on images with known labels.

    Rates are in [0, 1]; ``*_ci`` are 95 % intervals (Wilson for accuracies, bootstrap for the rest).
    ``confusion[i][j]`` counts images of ``classes[i]`` predicted as ``classes[j]``. Accuracy and confusion include
    images on which the model abstains; ``accuracy_answered`` and ``answered``, the confusion of the others, do not.
    Images in which a model of faces finds no face (``reasons["no_face"]``) have no prediction: they are in ``n``,
    ``abstained``, ``coverage`` and ``reasons`` alone.

    ``ece``, ``ece_equal_mass``, ``ece_classwise``, ``brier`` and ``nll`` are as in :class:`ProbabilityFigures`.
    ``aurc`` is the area under the risk-coverage curve (error among answers, when the most confident images are answered
    first), ``e_aurc`` the part of it that a better order would remove, ``risk_coverage`` points (coverage, error) on
    the curve. Fields that are ``None`` or empty are missing on cards from before they existed.
    """

    classes: tuple[str, ...]
    accuracy: float
    accuracy_ci: Interval
    balanced_accuracy: float
    balanced_accuracy_ci: Interval
    auroc: float | None
    auroc_ci: Interval | None
    average_precision: float | None
    ece: float
    ece_ci: Interval
    brier: float
    nll: float
    confusion: tuple[tuple[int, ...], ...]
    recall: dict[str, float]
    recall_ci: dict[str, Interval]
    abstained: int
    coverage: float
    accuracy_answered: float | None
    accuracy_answered_ci: Interval | None
    reasons: dict[str, int]
    reliability: tuple[Bin, ...]
    ece_by_chance: float | None = None
    ece_equal_mass: float | None = None
    ece_equal_mass_ci: Interval | None = None
    ece_classwise: float | None = None
    ece_classwise_ci: Interval | None = None
    brier_ci: Interval | None = None
    nll_ci: Interval | None = None
    aurc: float | None = None
    e_aurc: float | None = None
    risk_coverage: tuple[tuple[float, float], ...] = ()
    answered: tuple[tuple[int, ...], ...] = ()
    slices: tuple[SliceStudy, ...] = ()
    unreadable: tuple[dict[str, str], ...] = ()
    inputs: int = 1

    def identity(self) -> Identity:
        return (self.split, self.provenance.fingerprint, self.inputs)

    def title(self) -> str:
        return f"evaluation on {self.split}"

    def to_frame(self) -> pd.DataFrame:
        """The confusion matrix: one row per true class, one column per predicted class."""
        return frame_of(
            [
                {"label": label, **dict(zip(self.classes, row, strict=True))}
                for label, row in zip(self.classes, self.confusion, strict=True)
            ]
        )
