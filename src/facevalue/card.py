"""The card: all that a model folder says of itself. Frozen records, kept as ``card.json``."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import msgspec

from facevalue import files
from facevalue.errors import ModelFolderError, UsageError
from facevalue.pixels import Geometry

FORMAT = 1
CARD, WEIGHTS, ONNX, HISTORY, REPORT, MANIFEST = (
    "card.json",
    "weights.safetensors",
    "model.onnx",
    "history.jsonl",
    "report.html",
    "manifest.parquet",
)

Interval = tuple[float, float]


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of the card's parts: frozen, strict when read."""

    def changed(self, **fields: Any) -> Self:
        """A new record with these fields replaced."""
        return msgspec.structs.replace(self, **fields)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON, without the tag that tells evidence apart."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        plain.pop("kind", None)
        return plain


class NetworkFacts(Record, frozen=True):
    """What the weights are for.

    Attributes
    ----------
    name, options : what :data:`facevalue.networks.NETWORKS` (or timm) builds it from.
    mean, std : per channel, of pixels in [0, 1]; applied inside the model.
    parameters : how many, the head included.
    features : width of the layer before the last.
    weights : where training started: ``none``, ``hub`` or a file's name.
    weights_sha256 : of that file, else ``None``.
    licence : of those weights.
    pooled : whether it ends in average pooling and a linear layer, so that ``heat`` exists.
    """

    name: str
    options: dict[str, Any] = {}
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    parameters: int = 0
    features: int = 0
    weights: str = "none"
    weights_sha256: str | None = None
    licence: str | None = None
    pooled: bool = False


class Abstention(Record, frozen=True):
    """When the model says «I don't know». Chosen on the calibration split.

    Attributes
    ----------
    confidence : below this calibrated probability of the class leant to, the answer is ``uncertain``.
    novelty : above this distance from the training data, the picture is ``novel``; ``None`` switches it off.
    target : accuracy among the answered that ``confidence`` was chosen for.
    n : calibration pictures it was chosen on.
    """

    confidence: float = 0.0
    novelty: float | None = None
    target: float | None = None
    n: int = 0


class DataFacts(Record, frozen=True):
    """Where the pictures came from.

    Attributes
    ----------
    source : the folder or manifest, as the user named it.
    fingerprint : SHA-256 over every picture's bytes, label and split; paths do not count.
    counts : pictures by split and class.
    groups : how groups were formed: ``parent``, ``stem:REGEX``, a column, ``picture``, or ``official`` splits.
    group_count : groups by split.
    grouped : pictures that share a group with another.
    unreadable : path and reason of every file left out.
    warnings : what a reader of the figures should know.
    """

    source: str = ""
    fingerprint: str = ""
    counts: dict[str, dict[str, int]] = {}
    groups: str = "picture"
    group_count: dict[str, int] = {}
    grouped: int = 0
    unreadable: tuple[dict[str, str], ...] = ()
    warnings: tuple[str, ...] = ()


class Bin(Record, frozen=True):
    """One bar of a reliability diagram: confidences in (low, high], their mean, and how often they were right."""

    low: float
    high: float
    n: int
    confidence: float
    accuracy: float


class SliceFigures(Record, frozen=True):
    """A model on the pictures that share a value of a column, with 95 % Wilson intervals.

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
    """Figures by the values of one column of the manifest; ``missing`` pictures have none."""

    column: str
    slices: tuple[SliceFigures, ...]
    gaps: tuple[Gap, ...]
    missing: int = 0
    warnings: tuple[str, ...] = ()


class Report(Record, frozen=True, tag_field="kind", tag="evaluation"):
    """A model on pictures with known labels.

    Rates are in [0, 1]; ``*_ci`` are 95 % intervals (Wilson for accuracies, bootstrap for the rest).
    ``confusion[i][j]`` counts pictures of ``classes[i]`` decided as ``classes[j]``. Accuracy and confusion count the
    decision on every picture, abstained or not; ``accuracy_answered`` counts only those the model answered.
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


DISTILLATION = "distillation"
"""The one defence that is inside the weights and not before them; see :class:`AttackFigures`."""


class AttackFigures(Record, frozen=True):
    """One attack at one eps. ``eps`` is in [0, 1] units of the network's square; success counts after 8-bit rounding.

    ``robust_accuracy_unrounded`` is the same before rounding, to compare with papers and libraries that stop there.
    ``defense`` names what stood before the model, or how it was hardened; ``adaptive`` says whether the attack knew of
    it and went through it. ``target_rate`` is the share of the rightly classified pictures of other classes that were
    then taken for the class ``target``. ``found_by`` counts the pictures that each part of a suite turned.
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
        """Whether this is a figure of the model itself: nothing stood before it, and the attack was not held blind."""
        return self.defense is None or (self.defense == DISTILLATION and self.adaptive)


class NoiseFigures(Record, frozen=True):
    """The control beside every attack: pictures right before and under random noise as large as the threat allows."""

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


class CorruptionFigures(Record, frozen=True):
    """A model on pictures with one kind of everyday damage at one strength, in the damage's own ``unit``."""

    corruption: str
    strength: float
    unit: str
    n: int
    accuracy: float
    accuracy_ci: Interval


class CorruptionReport(Record, frozen=True, tag_field="kind", tag="corruptions"):
    """A model on pictures with everyday damage, done to each upright picture before its geometry.

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


class CertifiedAccuracy(Record, frozen=True):
    """Share of pictures that are right and provably stay so for every change shorter than ``radius`` in L2."""

    radius: float
    accuracy: float
    accuracy_ci: Interval


class CertificateReport(Record, frozen=True, tag_field="kind", tag="certificate"):
    """A model behind randomised smoothing (Cohen et al. 2019, arXiv:1902.02918), with radii that are proven.

    Attributes
    ----------
    sigma : of the Gaussian noise, in pixels of the network's square scaled to [0, 1].
    alpha : probability, a picture, that its certificate is wrong.
    n0, samples : noisy copies a picture for choosing the class, and for the bound.
    abstained : pictures on which no class surely has the majority.
    base_accuracy : of the model without smoothing on the same pictures.
    mean_radius : over all pictures, 0 where wrong or abstained (the average certified radius).
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


class Change(Record, frozen=True):
    """Accuracy on the same pictures before and after.

    ``lost`` were right before and are wrong now, ``won`` the other way round; ``change_ci`` is for pairs.
    """

    pictures: str
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
    """What going on with ``model`` on a hard set gave, and what it cost on the old test pictures.

    Attributes
    ----------
    stages : what was trained: ``head``, so many of the last stages, or ``all``.
    replay : old training pictures for every hard one; ``replayed`` in all.
    left_out : hard pictures that the model's own set held already.
    changes : on the old test pictures, then on the hard ones.
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


class ExportReport(Record, frozen=True, tag_field="kind", tag="export"):
    """An exported file beside the model, from file bytes to label on ``n`` pictures."""

    target: str
    path: str
    bytes: int
    n: int
    label_agreement: float
    max_probability_difference: float
    precision: str = "fp32"
    command: str = ""
    created: str = ""


Evidence = Report | AttackReport | CorruptionReport | CertificateReport | FinetuneReport | ExportReport


class Card(Record, frozen=True):
    """All that a model folder says of itself.

    Attributes
    ----------
    classes : in the order of the logits.
    positive : the class that ``threshold``, ``auroc`` and ``average_precision`` are about; ``None`` for more than two.
    threshold : probability of ``positive`` from which the answer is ``positive``.
    temperature : divides the logits before the softmax; fitted on the calibration split.
    files : SHA-256 of the folder's other files, by name.
    """

    classes: tuple[str, ...]
    geometry: Geometry
    network: NetworkFacts
    positive: str | None = None
    threshold: float = 0.5
    temperature: float = 1.0
    abstention: Abstention = Abstention()
    data: DataFacts = DataFacts()
    recipe: dict[str, Any] = {}
    seed: int = 0
    seconds: float = 0.0
    seconds_per_epoch: float | None = None
    versions: dict[str, str] = {}
    command: str = ""
    created: str = ""
    files: dict[str, str] = {}
    evidence: tuple[Evidence, ...] = ()
    format: int = FORMAT

    def __post_init__(self) -> None:
        if len(self.classes) < 2 or len(set(self.classes)) != len(self.classes):
            raise ModelFolderError(f"Expected at least two different classes, but got {list(self.classes)}")
        if self.positive is not None and (self.positive not in self.classes or len(self.classes) != 2):
            raise ModelFolderError(f"Expected positive to be one of two classes, but got {self.positive!r}")

    @property
    def positive_index(self) -> int | None:
        """Place of ``positive`` in ``classes``; ``None`` for more than two classes."""
        return None if self.positive is None else self.classes.index(self.positive)

    def with_evidence(self, *evidence: Evidence) -> Card:
        """A new card with more evidence at the end."""
        return self.changed(evidence=(*self.evidence, *evidence))

    def report(self, split: str) -> Report | None:
        """The last evaluation of this name (``train``, ``validation``, ``calibration``, ``test``, or a folder's)."""
        found = [e for e in self.evidence if isinstance(e, Report) and e.split == split]
        return found[-1] if found else None

    def to_json(self) -> str:
        """Indented JSON."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2).decode() + "\n"

    def save(self, folder: Path) -> None:
        """Write ``card.json`` into a model folder, whole or not at all."""
        files.write_text(folder / CARD, self.to_json())

    @staticmethod
    def load(folder: Path) -> Card:
        """Read a model folder's card.

        Raises
        ------
        ModelFolderError
            There is no such folder, it holds no card, or the card is not one of this format.
        """
        if not folder.is_dir():
            raise ModelFolderError(f"{folder} is not a model folder: there is no such folder")
        try:
            text = (folder / CARD).read_bytes()
        except OSError as error:
            raise ModelFolderError(f"{folder} is not a model folder: it holds no readable {CARD}") from error
        try:
            return msgspec.json.decode(text, type=Card)
        except (msgspec.DecodeError, UsageError, RecursionError) as error:  # records judge their own values too
            raise ModelFolderError(f"{folder / CARD} is not a card that this version reads: {error}") from error

    def checked_file(self, folder: Path, name: str) -> Path:
        """The path of one of the folder's files, after asking that it is the one this card was written with.

        Raises
        ------
        ModelFolderError
            The file is missing, or its SHA-256 is not the one on the card.
        """
        path = folder / name
        if name not in self.files or not path.is_file():
            raise ModelFolderError(f"{folder} is incomplete: {name} is missing")
        if files.sha256(path) != self.files[name]:
            raise ModelFolderError(f"{path} is not the file that the card was written with: it was altered or damaged")
        return path
