"""Evidence: measurements of a model, as frozen records with n, intervals and provenance."""

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
"""Low and high end of an interval, 95 % unless stated otherwise."""

Identity = tuple[object, ...]


class _AbstractRecord(msgspec.StructMeta, ABCMeta):
    """Metaclass of records with abstract methods."""


class Evidence(Record, frozen=True, kw_only=True, tag_field="kind", metaclass=_AbstractRecord):
    """Base of all evidence on a card: its provenance and its warnings."""

    provenance: Provenance
    warnings: tuple[Finding, ...] = ()

    @property
    def n(self) -> int:
        """Number of images it was measured on."""
        return self.provenance.n

    @property
    def split(self) -> str:
        """Which images: ``test``, another split, or the name of other images."""
        return self.provenance.split

    @abstractmethod
    def identity(self) -> Identity:
        """What was measured on which images. New evidence replaces older evidence of the same kind and identity."""

    @abstractmethod
    def title(self) -> str:
        """A short name for reports."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, with ``split`` and ``n`` first and without the tag ``kind``."""
        plain = super().to_dict()
        plain.pop("kind")
        return {"split": self.split, "n": self.n, **plain}


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


DISTILLATION = "distillation"
"""The one defence that is part of the weights, not applied before the model; see :class:`AttackFigures`."""


class AttackFigures(Record, frozen=True):
    """One attack at one eps. ``eps`` is in [0, 1] units of the network input; success counts after 8-bit rounding.

    ``robust_accuracy_unrounded`` is measured before rounding, to compare with papers and libraries that do not round.
    ``defense`` names the defence in front of the model, or how the model was hardened; ``adaptive`` says whether the
    attack took it into account. ``target_rate`` is the share of correctly classified images of other classes that the
    attack changed to the class ``target``. ``found_by`` counts the images that each attack of a suite changed.
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

    def settings(self) -> tuple[str, str, float, str | None, bool, str | None]:
        """The settings of the attack, without its results."""
        return (self.attack, self.norm, self.eps, self.defense, self.adaptive, self.target)

    @property
    def speaks_of_model(self) -> bool:
        """Whether this is the robust accuracy of the model itself: untargeted, without an input defence, not blind."""
        seen = self.defense is None or (self.defense == DISTILLATION and self.adaptive)
        return seen and self.target is None


class NoiseFigures(Record, frozen=True):
    """The control for an attack: accuracy under random noise of the largest size that the threat allows.

    Only images that are correct both without and with the noise count.
    """

    norm: str
    eps: float
    n: int
    accuracy: float
    accuracy_ci: Interval


class AttackReport(Evidence, frozen=True, tag="attack"):
    """Results of attacks on a model, with random noise as a control."""

    classes: tuple[str, ...]
    clean_confusion: tuple[tuple[int, ...], ...]
    results: tuple[AttackFigures, ...]
    noise: tuple[NoiseFigures, ...] = ()

    def identity(self) -> Identity:
        return (self.provenance.fingerprint, *(r.settings() for r in self.results))

    def title(self) -> str:
        return "attack with " + ", ".join(dict.fromkeys(r.attack for r in self.results))

    def to_frame(self) -> pd.DataFrame:
        """One row per attack and eps."""
        return frame_of([row.to_dict() for row in self.results])


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


class PipelineFigures(Record, frozen=True):
    """A model on images that one declared pipeline has re-made; see :mod:`facevalue.images.remaking`.

    ``accuracy`` counts all images, ``accuracy_answered`` those with an answer. ``answers`` is the number of images that
    are answered both as they are and re-made; ``flips`` counts those of them whose label differs, with an exact
    (Clopper-Pearson) interval. ``rates`` is the share of all images by predicted class, answered or not.
    """

    pipeline: str
    kind: str
    steps: str
    n: int
    accuracy: float
    accuracy_ci: Interval
    coverage: float
    accuracy_answered: float | None
    answers: int
    flips: int
    flip_rate: float | None
    flip_rate_ci: Interval | None
    rates: dict[str, float]


class RateGap(Record, frozen=True):
    """The largest difference between two pipelines in how often a class is the most probable one, on the same images.

    The interval is paired, and holds for all pairs of pipelines and all classes at once.
    """

    label: str
    highest: str
    highest_rate: float
    lowest: str
    lowest_rate: float
    gap: float
    gap_ci: Interval


class RemadeReport(Evidence, frozen=True, tag="remade"):
    """A model on the same images as they are and re-made by declared pipelines.

    Attributes
    ----------
    original_accuracy, original_coverage, original_rates : of the images as they are.
    answers, flips : pairs of an image and a pipeline that are answered as the image is and re-made, and those of them
        with two different labels; ``flip_rate`` has a 95 % bootstrap interval over images.
    images_answered, images_flipped : images with such a pair, and those with a flip in any pipeline; exact interval.
    explained_by_label, explained_by_processing : shares of the variance of the probabilities that the labels and the
        pipelines explain; ``explained_difference_ci`` is a 95 % interval of the second minus the first.
    inputs : network inputs that an answer was made from, see :class:`~facevalue.evidence.card.Stability`.
    results : by pipeline.
    """

    classes: tuple[str, ...]
    original_accuracy: float
    original_accuracy_ci: Interval
    original_coverage: float
    original_rates: dict[str, float]
    answers: int
    flips: int
    flip_rate: float | None
    flip_rate_ci: Interval | None
    images_answered: int
    images_flipped: int
    images_flipped_ci: Interval | None
    explained_by_label: float
    explained_by_processing: float
    explained_difference_ci: Interval
    largest_rate_gap: RateGap
    results: tuple[PipelineFigures, ...]
    inputs: int = 1

    def identity(self) -> Identity:
        return (self.split, self.provenance.fingerprint, self.inputs, *(r.pipeline for r in self.results))

    def title(self) -> str:
        return f"re-made images on {self.split}"

    def to_frame(self) -> pd.DataFrame:
        """One row per pipeline."""
        return frame_of([row.to_dict() for row in self.results])


class CertifiedAccuracy(Record, frozen=True):
    """Share of images that are classified correctly, provably for every change smaller than ``radius`` in L2."""

    radius: float
    accuracy: float
    accuracy_ci: Interval


class CertificateReport(Evidence, frozen=True, tag="certificate"):
    """Certified accuracy of a model with randomised smoothing (Cohen et al. 2019, arXiv:1902.02918).

    Attributes
    ----------
    sigma : standard deviation of the Gaussian noise, for pixels in [0, 1].
    alpha : per image, the probability that its certificate is wrong.
    n0, samples : noisy copies per image for choosing the class, and for the bound.
    abstained : number of images for which no class has a significant majority.
    base_accuracy : of the model without smoothing on the same images.
    mean_radius : average certified radius; wrong and abstained images count as 0.
    curve : by radius, starting at 0.
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

    ``lost`` images were correct before and are wrong now, ``won`` the other way round. ``change_ci`` is a paired
    interval.
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
    """Effect of fine-tuning ``model`` on hard images: accuracy before and after, on old and hard test images.

    Attributes
    ----------
    stages : what was trained: ``head``, the number of last stages, or ``all``.
    replay : old training images per hard one; ``replayed`` is their total number.
    left_out : hard images that the model's own data already had.
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
        """One row for the old test images and one for the hard ones, before and after."""
        return frame_of([one.to_dict() for one in self.changes])


class StrangerFigures(Record, frozen=True):
    """How often the images of one set that must be refused are answered.

    Attributes
    ----------
    answered : share of them that the model answers, with a 95 % Wilson interval.
    auroc : of novelty, these against the model's own images: 1 if every one of them is more novel than those.
    answered_as : number of answered images by predicted class.
    """

    name: str
    n: int
    answered: float
    answered_ci: Interval
    auroc: float
    answered_as: dict[str, int] = {}


class StrangerReport(Evidence, frozen=True, tag="strangers"):
    """Share of images of other kinds (strangers) that a model answers instead of refusing them.

    Attributes
    ----------
    strangers, strangers_fingerprint : where they come from. The provenance is of the model's own images.
    score : the novelty score.
    answered_own : share of the model's own images that it answers, with a 95 % Wilson interval.
    """

    strangers: str
    strangers_fingerprint: str
    score: str
    answered_own: float
    answered_own_ci: Interval
    sets: tuple[StrangerFigures, ...]

    def identity(self) -> Identity:
        return (self.split, self.provenance.fingerprint, self.strangers_fingerprint)

    def title(self) -> str:
        return f"strangers: {', '.join(one.name for one in self.sets[:3])}" + (", …" if len(self.sets) > 3 else "")

    def to_frame(self) -> pd.DataFrame:
        """One row per set."""
        return frame_of([row.to_dict() for row in self.sets])


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


AnyEvidence = (
    Evaluation
    | CalibrationReport
    | AttackReport
    | CorruptionReport
    | RemadeReport
    | CertificateReport
    | FinetuneReport
    | StrangerReport
    | ExportReport
    | RuntimeReport
)
