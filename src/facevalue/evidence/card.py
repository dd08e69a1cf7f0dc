"""The model card: the description and the evidence of a model folder, saved as ``card.json``."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec

from facevalue.errors import FaceValueError, ModelFolderError, UsageError
from facevalue.evidence import card_format_1, seals
from facevalue.evidence.findings import Finding
from facevalue.evidence.gate_facts import GateFacts
from facevalue.evidence.provenance import Provenance
from facevalue.evidence.record import Record
from facevalue.evidence.records import DISTILLATION, AnyEvidence, Evaluation, Evidence
from facevalue.evidence.registered import RegisteredPolicy
from facevalue.evidence.score_reference import ScoreReference
from facevalue.evidence.seals import decides
from facevalue.evidence.source_facts import SourceFacts
from facevalue.evidence.stated_limits import FalsePositives, StatedError
from facevalue.images.preprocessing import Preprocessing
from facevalue.images.versions import MOST
from facevalue.support import files

E = TypeVar("E", bound=Evidence)

FORMAT = 2
"""Format of the card. :mod:`facevalue.evidence.card_format_1` converts cards of format 1."""

CARD, WEIGHTS, ONNX, HISTORY, REPORT, MANIFEST, CANARIES, OUTPUTS = (
    "card.json",
    "weights.safetensors",
    "model.onnx",
    "history.jsonl",
    "report.html",
    "manifest.parquet",
    "canaries.zip",
    "outputs.parquet",
)


class NetworkFacts(Record, frozen=True):
    """The network that the weights belong to.

    Attributes
    ----------
    name, options : to build it from :data:`facevalue.models.networks.NETWORKS` or timm.
    mean, std : per channel, of pixels in [0, 1]; applied inside the model.
    parameters : their number, including the head.
    features : width of the layer before the last.
    weights : initial weights: ``none``, ``hub`` or a file name.
    weights_sha256 : of that file, else ``None``.
    licence : of the initial weights.
    pooled : whether it ends in average pooling and a linear layer, so that ``heat`` exists.
    batch : most images per run; lower for networks that need much memory per image.
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
    batch: Annotated[int, msgspec.Meta(ge=1)] = 16


class Abstention(Record, frozen=True):
    """When the model abstains. The limits are chosen on the calibration split.

    Attributes
    ----------
    confidence : if the calibrated probability of the predicted class is below this, the prediction is ``uncertain``;
        above 1, every prediction is.
    novelty : if the distance from the training data is above this, the image is ``novel``; ``None`` switches this off.
    source : if the distance from the nearest source is above this, the image is of an ``unknown_source``; ``None``
        switches this off. At most ``novelty``, which limits the same distance.
    target : accuracy on answered images that ``confidence`` was chosen for.
    n : number of calibration images used.
    upper : with two classes, a predicted positive class is ``uncertain`` if its probability is below this.
    lower : a predicted negative class is ``uncertain`` if the probability of the positive class is above this.
    stated_error : the promise that ``confidence`` was chosen for, if one was asked for.
    false_positives : the promise that ``upper`` and ``lower`` were chosen for, if one was asked for.
    """

    confidence: float = 0.0
    novelty: float | None = None
    source: float | None = None
    target: float | None = None
    n: int = 0
    upper: float | None = None
    lower: float | None = None
    stated_error: StatedError | None = None
    false_positives: FalsePositives | None = None


class Calibration(Record, frozen=True):
    """How the tempered logits become probabilities; see :mod:`facevalue.models.calibration`.

    Attributes
    ----------
    method : ``temperature``, ``vector``, ``beta``, ``isotonic`` or ``venn-abers``.
    parameters : of the method, by name; none for ``temperature``.
    images : images in the fit by what was done to them: ``original``, ``jpeg-60`` and so on. Empty on cards from
        before there was damage, which were fitted on the originals.
    log_loss : cross-validated log loss in nats on these images, by method; empty where no method was compared.
    """

    method: str = "temperature"
    parameters: dict[str, tuple[float, ...]] = {}
    images: dict[str, int] = {}
    log_loss: dict[str, float] = {}


class NoveltyFacts(Record, frozen=True):
    """How novelty is measured.

    Attributes
    ----------
    score : its key in :data:`facevalue.models.novelty.SCORES`.
    strangers : number of images that must be refused, which it was fitted with, by set.
    compared : by score, the share of strangers that would be answered: the mean over the sets, each left out in turn.
    """

    score: str = "mahalanobis"
    strangers: dict[str, int] = {}
    compared: dict[str, float] = {}


class Stability(Record, frozen=True):
    """How stable answers are made: from several versions of the network input, see :mod:`facevalue.images.versions`.

    Attributes
    ----------
    inputs : versions of the network input that are scored for one answer: the input itself and ``inputs - 1``
        re-makings. The answer is made from the mean of their calibrated probabilities.
    temperature : divides the logarithms of the mean probabilities; fitted on the calibration split.
    support : the answer is ``unstable`` if a version gives the predicted class a probability below this, or if a
        version alone would be decided otherwise.
    abstention : the limits for the mean probabilities; they replace :attr:`ModelCard.abstention`.
    target : share of answers that may flip, for which ``support`` was chosen.
    flips, answers : flips among the answers on the calibration images after ``pipelines``, with these limits.
    pipelines : the re-makings that ``support`` was chosen on.
    n : calibration images that ``support`` was chosen on; 0 if it was not.
    """

    inputs: Annotated[int, msgspec.Meta(ge=2)]
    temperature: float = 1.0
    support: float = 0.0
    abstention: Abstention = Abstention()
    target: float | None = None
    flips: int = 0
    answers: int = 0
    pipelines: tuple[str, ...] = ()
    n: int = 0


class DataFacts(Record, frozen=True):
    """Facts about the images that the model was made from.

    Attributes
    ----------
    counts : images by split and class.
    without_face : those of them in which no face was found, and which were left out.
    groups : how groups were formed: ``parent``, ``stem:REGEX``, a column, ``image``, or ``official`` splits.
    group_count : groups by split.
    grouped : number of images that share a group with another image.
    unreadable : path and reason of every file left out.
    warnings : reasons to doubt the figures.
    """

    counts: dict[str, dict[str, int]] = {}
    without_face: dict[str, dict[str, int]] = {}
    groups: str = "image"
    group_count: dict[str, int] = {}
    grouped: int = 0
    unreadable: tuple[dict[str, str], ...] = ()
    warnings: tuple[Finding, ...] = ()


class ModelCard(Record, frozen=True):
    """The description and the evidence of a model folder.

    Attributes
    ----------
    classes : in the order of the logits.
    positive : the class of ``threshold``, ``auroc`` and ``average_precision``; ``None`` for more than two classes.
    threshold : the prediction is ``positive`` if its probability is at least this.
    gate : how faces are found before the network is asked; ``None`` for a model of whole images.
    temperature : divides the logits; fitted on the calibration split.
    calibration : the method that makes probabilities of the divided logits.
    novelty : how the distance from the training data is measured.
    sources : where its images are from, and how well it knows them from others; ``None`` if it does not ask.
    stability : how stable answers are made; ``None`` if an answer is made from one network input.
    policy : the requirements that were registered before the test figures were computed; ``None`` if there were none.
    features_by : the engines that computed features for the head, the calibration and the novelty, with their versions;
        empty on cards from before this was recorded.
    provenance : the images it was made from, the command, the versions, the time, and the seed of every draw.
    reference : the calibration split's scores, for the server's drift alarm; ``None`` where no image is left that
        was not trained on.
    files : SHA-256 of the folder's other files, by name.
    altered : names of fields that somebody changed in the file after facevalue had written it; predictions do not
        depend on them. They stay named, also on later cards of the folder.
    seals : in the file, a hash of every field, see :mod:`facevalue.evidence.seals`. Empty on cards of earlier versions,
        and in memory.
    """

    classes: tuple[str, ...]
    preprocessing: Preprocessing
    network: NetworkFacts
    positive: str | None = None
    threshold: float = 0.5
    temperature: float = 1.0
    calibration: Calibration = Calibration()
    abstention: Abstention = Abstention()
    novelty: NoveltyFacts = NoveltyFacts()
    sources: SourceFacts | None = None
    stability: Stability | None = None
    gate: GateFacts | None = None
    reference: ScoreReference | None = None
    data: DataFacts = DataFacts()
    policy: RegisteredPolicy | None = None
    recipe: dict[str, Any] = {}
    seconds_per_epoch: float | None = None
    features_by: str = ""
    provenance: Provenance = Provenance()
    files: dict[str, str] = {}
    evidence: tuple[AnyEvidence, ...] = ()
    altered: tuple[str, ...] = ()
    seals: dict[str, str] = {}
    format: int = FORMAT

    def __post_init__(self) -> None:
        if len(self.classes) < 2 or len(set(self.classes)) != len(self.classes):
            raise ModelFolderError(f"Expected at least two different classes, but got {list(self.classes)}")
        if self.positive is not None and (self.positive not in self.classes or len(self.classes) != 2):
            raise ModelFolderError(f"Expected positive to be one of two classes, but got {self.positive!r}")
        if (self.gate is None) != (self.preprocessing.face_margin is None):
            raise ModelFolderError("Expected gate and preprocessing.face_margin together, but got only one of them")

    @property
    def of_whole_images(self) -> ModelCard:
        """The card of the same network for whole images, or for images that are crops of faces already."""
        return self.changed(gate=None, preprocessing=self.preprocessing.whole)

    @property
    def inputs(self) -> int:
        """Versions of the network input that an answer is made from."""
        return 1 if self.stability is None else self.stability.inputs

    @property
    def limits(self) -> Abstention:
        """The limits of abstention for the probabilities of an answer."""
        return self.abstention if self.stability is None else self.stability.abstention

    def with_inputs(self, inputs: int | None) -> ModelCard:
        """The card with answers made from so many versions of the network input.

        Its limits are chosen for another number, unless the card has stable answers from as many.

        Parameters
        ----------
        inputs : 0 or 1 for one network input; ``None`` as the card says.

        Raises
        ------
        UsageError
            There are not so many versions.
        """
        if inputs is None or inputs == self.inputs:
            return self
        if not 0 <= inputs <= MOST:
            raise UsageError(f"Expected `stable` from 2 to {MOST} network inputs, or 0 for one, but got {inputs}")
        if inputs < 2:
            return self.changed(stability=None)
        return self.changed(stability=Stability(inputs=inputs, abstention=self.abstention))

    @property
    def positive_index(self) -> int | None:
        """Index of ``positive`` in ``classes``; ``None`` for more than two classes."""
        return None if self.positive is None else self.classes.index(self.positive)

    @property
    def hardened(self) -> tuple[str, ...]:
        """How the model, or the models it was made from, were hardened against attacks.

        ``adversarial`` for training on attacked images, ``distillation`` for defensive distillation.
        """
        ways = set(self.recipe.get("hardened", ()))
        if self.recipe.get("adversarial", {}).get("method", "none") != "none":
            ways.add("adversarial")
        distill = self.recipe.get("distill", {})
        if distill.get("teacher") and distill.get("form") == "defensive":
            ways.add(DISTILLATION)
        return tuple(sorted(ways))

    def decision(self) -> str:
        """SHA-256 over everything on the card that predictions depend on; see :func:`facevalue.evidence.seals.decides`.

        Fields at their default and values of null are left out, so that a later version of facevalue with more fields
        gives the same hash.
        """
        fields = (field for field in msgspec.structs.fields(type(self)) if decides(field.name))
        values = {f.name: value for f in fields if (value := getattr(self, f.name)) != f.default}
        values["files"] = {name: self.files[name] for name in (WEIGHTS, ONNX) if name in self.files}
        plain = _without_nulls(msgspec.to_builtins(values))
        return hashlib.sha256(msgspec.json.encode(plain, order="deterministic")).hexdigest()

    def with_evidence(self, *evidence: AnyEvidence) -> ModelCard:
        """A new card with more evidence at the end."""
        return self.changed(evidence=(*self.evidence, *evidence))

    @property
    def refitted(self) -> bool:
        """Whether it was trained again on all images except test, after model selection and calibration."""
        return bool(self.recipe.get("refit"))

    def evaluation(self, split: str) -> Evaluation | None:
        """The latest evaluation on ``train``, ``validation``, ``calibration``, ``test``, or another set by its name.

        One whose answers were made as the card makes them, if there is one.
        """
        found = [e for e in self.of_kind(Evaluation) if e.split == split]
        found = [e for e in found if e.inputs == self.inputs] or found
        return found[-1] if found else None

    def of_kind(self, kind: type[E]) -> list[E]:
        """The evidence of one type, the oldest first."""
        return [e for e in self.evidence if isinstance(e, kind)]

    def to_json(self) -> str:
        """Indented JSON."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2).decode() + "\n"

    def save(self, folder: Path) -> None:
        """Write ``card.json`` into a model folder, whole or not at all.

        Raises
        ------
        FaceValueError
            The new card could not be read back, for instance because a figure is not finite. The old card stays.
        """
        plain = self.changed(seals={})
        text = plain.changed(seals=seals.seals_of(msgspec.json.decode(plain.to_json()))).to_json()
        try:
            msgspec.json.decode(text, type=ModelCard)
        except (msgspec.DecodeError, UsageError) as error:
            raise FaceValueError(f"{folder / CARD} was not replaced: the new card is not valid: {error}") from error
        files.write_text(folder / CARD, text)

    @staticmethod
    def load(folder: Path) -> ModelCard:
        """Read a model folder's card, of this format or of format 1.

        Raises
        ------
        ModelFolderError
            The folder does not exist, has no card, the card has another format, or a value that predictions depend on
            was changed in the file.
        """
        if not folder.is_dir():
            why = f"it is a file; give {folder.parent}" if folder.name == CARD and folder.exists() else "it is a file"
            raise ModelFolderError(f"{folder} is not a model folder: {why if folder.exists() else 'it does not exist'}")
        try:
            text = (folder / CARD).read_bytes()
        except OSError as error:
            raise ModelFolderError(f"{folder} is not a model folder: it holds no readable {CARD}") from error
        try:
            plain = msgspec.json.decode(text)
            version = plain.get("format") if isinstance(plain, dict) else None
            if version == 1:
                return msgspec.convert(card_format_1.converted(plain), ModelCard)
            card = msgspec.convert(plain, ModelCard) if version in (None, FORMAT) else None
        except (
            msgspec.DecodeError,
            UnicodeDecodeError,
            UsageError,
            RecursionError,
        ) as error:  # records check values too
            raise ModelFolderError(f"{folder / CARD} is not a card that this version can read: {error}") from error
        if card is None:
            raise ModelFolderError(
                f"{folder / CARD} is not a card that this version can read: it has format {version!r}, not 1 or "
                f"{FORMAT}; update facevalue"
            )
        changed = seals.changed_fields(plain)
        if deciding := [field for field in changed if seals.decides(field)]:
            raise ModelFolderError(
                f"{folder / CARD} was changed: {', '.join(deciding)} is not what its figures were measured with. "
                "Restore it; to set another threshold: facevalue calibrate MODEL DATA -o NEW --threshold T"
            )
        return card.changed(seals={}, altered=tuple(dict.fromkeys((*card.altered, *changed))))

    def checked_file(self, folder: Path, name: str) -> Path:
        """The path of one of the folder's files, after checking that it is unchanged.

        Raises
        ------
        ModelFolderError
            The file is missing, or its SHA-256 is not the one on the card.
        """
        path = folder / name
        if name not in self.files or not path.is_file():
            raise ModelFolderError(f"{folder} is incomplete: {name} is missing")
        if files.sha256(path) != self.files[name]:
            raise ModelFolderError(f"{path} was changed or damaged: its SHA-256 is not the one on the card")
        return path


def _without_nulls(plain: Any) -> Any:
    """Plain JSON values without the keys of objects that are null."""
    if isinstance(plain, dict):
        return {key: _without_nulls(value) for key, value in plain.items() if value is not None}
    return [_without_nulls(value) for value in plain] if isinstance(plain, list | tuple) else plain
