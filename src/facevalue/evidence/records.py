"""Evidence: what was measured of a model, each kind a frozen record with n, intervals and provenance."""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from typing import TYPE_CHECKING, Any

import msgspec

from facevalue.evidence.findings import Finding
from facevalue.evidence.provenance import Provenance
from facevalue.evidence.record import Record
from facevalue.support.frames import frame_of

if TYPE_CHECKING:
    import pandas as pd

Interval = tuple[float, float]
"""Low and high end, mostly of 95 %."""

Identity = tuple[object, ...]


class _AbstractRecord(msgspec.StructMeta, ABCMeta):
    """Lets a record have abstract methods."""


class Evidence(Record, frozen=True, kw_only=True, tag_field="kind", metaclass=_AbstractRecord):
    """Base of what a card keeps: where it comes from, and what a reader of it should know."""

    provenance: Provenance
    warnings: tuple[Finding, ...] = ()

    @property
    def n(self) -> int:
        """Images it was measured on."""
        return self.provenance.n

    @property
    def split(self) -> str:
        """Which images: ``test``, another split, or the name of other images."""
        return self.provenance.split

    @abstractmethod
    def identity(self) -> Identity:
        """What was asked of which images. On a card, new evidence replaces older evidence of its kind with the same."""

    @abstractmethod
    def title(self) -> str:
        """What it is, in a few words."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: ``split`` and ``n`` at the top, and no tag that tells evidence apart."""
        plain = super().to_dict()
        plain.pop("kind")
        return {"split": self.split, "n": self.n, **plain}


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
    warnings: tuple[Finding, ...] = ()

    def to_frame(self) -> pd.DataFrame:
        """One row per slice."""
        return frame_of([{"column": self.column, **one.to_dict()} for one in self.slices])


class Evaluation(Evidence, frozen=True, tag="evaluation"):
    """A model on images with known labels.

    Rates are in [0, 1]; ``*_ci`` are 95 % intervals (Wilson for accuracies, bootstrap for the rest).
    ``confusion[i][j]`` counts images of ``classes[i]`` decided as ``classes[j]``. Accuracy and confusion count the
    decision on every image, abstained or not; ``accuracy_answered`` counts only those the model answered.
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
    slices: tuple[SliceStudy, ...] = ()
    unreadable: tuple[dict[str, str], ...] = ()

    def identity(self) -> Identity:
        return (self.split, self.provenance.fingerprint)

    def title(self) -> str:
        return f"evaluation on {self.split}"

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

    def asked(self) -> tuple[str, str, float, str | None, bool, str | None]:
        """What was tried, whatever came of it."""
        return (self.attack, self.norm, self.eps, self.defense, self.adaptive, self.target)

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


class AttackReport(Evidence, frozen=True, tag="attack"):
    """What attacks did to a model, and random noise beside them."""

    classes: tuple[str, ...]
    clean_confusion: tuple[tuple[int, ...], ...]
    results: tuple[AttackFigures, ...]
    noise: tuple[NoiseFigures, ...] = ()

    def identity(self) -> Identity:
        return (self.provenance.fingerprint, *(r.asked() for r in self.results))

    def title(self) -> str:
        return "attack with " + ", ".join(dict.fromkeys(r.attack for r in self.results))

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


class CorruptionReport(Evidence, frozen=True, tag="corruptions"):
    """A model on images with everyday corruptions, done to each upright image before its preprocessing.

    ``mean_accuracy`` is over all corruptions and strengths, each corruption weighing alike.
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


class CertifiedAccuracy(Record, frozen=True):
    """Share of images that are right and provably stay so for every change shorter than ``radius`` in L2."""

    radius: float
    accuracy: float
    accuracy_ci: Interval


class CertificateReport(Evidence, frozen=True, tag="certificate"):
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

    def identity(self) -> Identity:
        return (self.split, self.provenance.fingerprint, self.sigma)

    def title(self) -> str:
        return f"certificate on {self.split}"

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


class FinetuneReport(Evidence, frozen=True, tag="finetune"):
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
    stages: str
    replay: float
    replayed: int
    left_out: int
    changes: tuple[Change, ...]

    def identity(self) -> Identity:
        return (self.weights_sha256, self.stages, self.provenance.fingerprint, self.provenance.created)

    def title(self) -> str:
        return f"fine-tuning on {self.provenance.source}"

    def to_frame(self) -> pd.DataFrame:
        """Old test images, then hard ones, before and after."""
        return frame_of([one.to_dict() for one in self.changes])


class ExportReport(Evidence, frozen=True, tag="export"):
    """An exported file beside the model, from file bytes to label on ``n`` images."""

    target: str
    path: str
    bytes: int
    label_agreement: float
    max_probability_difference: float
    precision: str = "fp32"

    def identity(self) -> Identity:
        return (self.target, self.path)

    def title(self) -> str:
        return f"export to {self.target}"


AnyEvidence = Evaluation | AttackReport | CorruptionReport | CertificateReport | FinetuneReport | ExportReport
