"""Evidence: what was measured of a model, each kind a frozen record with n, intervals, fingerprint and command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import msgspec

from facevalue.support.frames import frame_of
from facevalue.support.html import ShownInNotebooks

if TYPE_CHECKING:
    import pandas as pd

Interval = tuple[float, float]
"""Low and high end, mostly of 95 %."""


class Record(ShownInNotebooks, msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of the card's parts: frozen, strict when read."""

    def changed(self, **fields: Any) -> Self:
        """A new record with these fields replaced."""
        return msgspec.structs.replace(self, **fields)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, without the tag that tells evidence apart."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        plain.pop("kind", None)
        return plain


class Bin(Record, frozen=True):
    """One bar of a reliability diagram: confidences in (low, high], their mean, and how often they were right."""

    low: float
    high: float
    n: int
    confidence: float
    accuracy: float


class SliceFigures(Record, frozen=True):
    """A model on the images that share a value of a column, with 95 % Wilson intervals.

    ``count``, ``recall`` and ``recall_ci`` are by class, of those that occur. ``small`` slices are too small to say.
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

    ``gap_ci`` is a 95 % interval for all pairs of slices together; ``sure`` where it lies above 0.
    """

    figure: str
    best: str
    worst: str
    gap: float
    gap_ci: Interval
    sure: bool


class SliceStudy(Record, frozen=True):
    """Figures by the values of one column of the manifest; ``missing`` images have none."""

    column: str
    slices: tuple[SliceFigures, ...]
    gaps: tuple[Gap, ...]
    missing: int = 0
    warnings: tuple[str, ...] = ()

    def to_frame(self) -> pd.DataFrame:
        """One row per slice."""
        return frame_of([{"column": self.column, **one.to_dict()} for one in self.slices])


class Evaluation(Record, frozen=True, tag_field="kind", tag="evaluation"):
    """A model on images with known labels.

    Rates are in [0, 1]; ``*_ci`` are 95 % intervals (Wilson for accuracies, bootstrap for the rest).
    ``confusion[i][j]`` counts images of ``classes[i]`` decided as ``classes[j]``. Accuracy and confusion count the
    decision on every image, abstained or not; ``accuracy_answered`` counts only those the model answered.
    """

    split: str
    n: int
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
    slices: tuple[SliceStudy, ...] = ()
    unreadable: tuple[dict[str, str], ...] = ()
    fingerprint: str = ""
    source: str = ""
    command: str = ""
    created: str = ""
    seconds: float = 0.0
    warnings: tuple[str, ...] = ()

    def to_frame(self) -> pd.DataFrame:
        """The confusion matrix: one row per true class, one column per decision."""
        return frame_of(
            [
                {"label": label, **dict(zip(self.classes, row, strict=True))}
                for label, row in zip(self.classes, self.confusion, strict=True)
            ]
        )


DISTILLATION = "distillation"
"""The one defence that is inside the weights and not before them; see :class:`AttackFigures`."""


class AttackFigures(Record, frozen=True):
    """One attack at one eps. ``eps`` is in [0, 1] units of the network input; success counts after 8-bit rounding.

    ``robust_accuracy_unrounded`` is the same before rounding, to compare with papers and libraries that stop there.
    ``defense`` names what stood before the model, or how it was hardened; ``adaptive`` says whether the attack knew of
    it and went through it. ``target_rate`` is the share of the rightly classified images of other classes that were
    then taken for the class ``target``. ``found_by`` counts the images that each part of a suite turned.
    """

    attack: str
    norm: str
    eps: float
    n: int
    clean_accuracy: float
    robust_accuracy: float
    robust_ci: Interval
    robust_accuracy_unrounded: float
    confusion: tuple[tuple[int, ...], ...]
    mean_distance: float
    queries: int
    seconds: float
    adaptive: bool = False
    defense: str | None = None
    target: str | None = None
    target_rate: float | None = None
    found_by: dict[str, int] = {}

    @property
    def speaks_of_model(self) -> bool:
        """Whether this is the model's robust accuracy: nothing stood before it, and the attack was neither blind nor
        after one class alone.
        """
        seen = self.defense is None or (self.defense == DISTILLATION and self.adaptive)
        return seen and self.target is None


class NoiseFigures(Record, frozen=True):
    """The control beside every attack: images right before and under random noise as large as the threat allows."""

    norm: str
    eps: float
    n: int
    accuracy: float
    accuracy_ci: Interval


class AttackReport(Record, frozen=True, tag_field="kind", tag="attack"):
    """What attacks did to a model, and random noise beside them."""

    n: int
    classes: tuple[str, ...]
    clean_confusion: tuple[tuple[int, ...], ...]
    results: tuple[AttackFigures, ...]
    noise: tuple[NoiseFigures, ...] = ()
    warnings: tuple[str, ...] = ()
    fingerprint: str = ""
    source: str = ""
    command: str = ""
    created: str = ""
    seed: int = 0

    def to_frame(self) -> pd.DataFrame:
        """One row per attack and eps."""
        return frame_of([row.to_dict() for row in self.results])


class CorruptionFigures(Record, frozen=True):
    """A model on images with one kind of everyday corruptions at one strength, in the corruption's own ``unit``."""

    corruption: str
    strength: float
    unit: str
    n: int
    accuracy: float
    accuracy_ci: Interval


class CorruptionReport(Record, frozen=True, tag_field="kind", tag="corruptions"):
    """A model on images with everyday corruptions, done to each upright image before its preprocessing.

    ``mean_accuracy`` is over all corruptions and strengths, each corruption weighing alike.
    """

    split: str
    n: int
    classes: tuple[str, ...]
    clean_accuracy: float
    clean_ci: Interval
    mean_accuracy: float
    results: tuple[CorruptionFigures, ...]
    warnings: tuple[str, ...] = ()
    fingerprint: str = ""
    source: str = ""
    command: str = ""
    created: str = ""
    seconds: float = 0.0
    seed: int = 0

    def to_frame(self) -> pd.DataFrame:
        """One row per corruption and strength."""
        return frame_of([row.to_dict() for row in self.results])


class CertifiedAccuracy(Record, frozen=True):
    """Share of images that are right and provably stay so for every change shorter than ``radius`` in L2."""

    radius: float
    accuracy: float
    accuracy_ci: Interval


class CertificateReport(Record, frozen=True, tag_field="kind", tag="certificate"):
    """A model behind randomised smoothing (Cohen et al. 2019, arXiv:1902.02918), with radii that are proven.

    Attributes
    ----------
    sigma : of the Gaussian noise, in pixels of the network input scaled to [0, 1].
    alpha : probability, an image, that its certificate is wrong.
    n0, samples : noisy copies per image for choosing the class, and for the bound.
    abstained : images on which no class surely has the majority.
    base_accuracy : of the model without smoothing on the same images.
    mean_radius : over all images, 0 where wrong or abstained (the average certified radius).
    curve : by radius, from 0 on.
    """

    split: str
    n: int
    classes: tuple[str, ...]
    sigma: float
    alpha: float
    n0: int
    samples: int
    base_accuracy: float
    abstained: int
    mean_radius: float
    curve: tuple[CertifiedAccuracy, ...]
    norm: str = "l2"
    warnings: tuple[str, ...] = ()
    fingerprint: str = ""
    source: str = ""
    command: str = ""
    created: str = ""
    seconds: float = 0.0
    seed: int = 0

    def to_frame(self) -> pd.DataFrame:
        """One row per radius."""
        return frame_of([row.to_dict() for row in self.curve])


class Change(Record, frozen=True):
    """Accuracy on the same images before and after.

    ``lost`` were right before and are wrong now, ``won`` the other way round; ``change_ci`` is for pairs.
    """

    images: str
    n: int
    before: float
    before_ci: Interval
    after: float
    after_ci: Interval
    change: float
    change_ci: Interval
    lost: int
    won: int


class FinetuneReport(Record, frozen=True, tag_field="kind", tag="finetune"):
    """What going on with ``model`` on a hard set gave, and what it cost on the old test images.

    Attributes
    ----------
    stages : what was trained: ``head``, so many of the last stages, or ``all``.
    replay : old training images for every hard one; ``replayed`` in all.
    left_out : hard images that the model's own set held already.
    changes : on the old test images, then on the hard ones.
    """

    model: str
    weights_sha256: str
    hard: str
    stages: str
    replay: float
    replayed: int
    left_out: int
    changes: tuple[Change, ...]
    warnings: tuple[str, ...] = ()
    command: str = ""
    created: str = ""

    def to_frame(self) -> pd.DataFrame:
        """Old test images, then hard ones, before and after."""
        return frame_of([one.to_dict() for one in self.changes])


class ExportReport(Record, frozen=True, tag_field="kind", tag="export"):
    """An exported file beside the model, from file bytes to label on ``n`` images."""

    target: str
    path: str
    bytes: int
    n: int
    label_agreement: float
    max_probability_difference: float
    precision: str = "fp32"
    command: str = ""
    created: str = ""


Evidence = Evaluation | AttackReport | CorruptionReport | CertificateReport | FinetuneReport | ExportReport
