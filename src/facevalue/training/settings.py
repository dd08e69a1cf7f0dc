"""The tables of a recipe: every setting with its default and allowed values."""

from __future__ import annotations

import math
from typing import Any, Literal

import msgspec

from facevalue.evaluation.answer_limits import CalibrationChoices
from facevalue.faces.gate import FaceGate
from facevalue.faces.model_file import published_gate
from facevalue.images.preprocessing import Fit
from facevalue.images.resize import Filter
from facevalue.images.versions import MOST
from facevalue.models.networks.base import Triple
from facevalue.models.novelty import SCORES
from facevalue.robustness.corruptions.damage import EVERYDAY, Damage


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of a recipe's tables: frozen and strict."""


def expect(good: bool, name: str, wanted: str, got: object) -> None:
    """Raise ``ValueError`` unless ``good``; msgspec turns it into a ``ValidationError``."""
    if not good:
        raise ValueError(f"expected {name} to be {wanted}, but got {got}")


class NetworkSettings(Settings, frozen=True):
    """The network, its weights and its input. Keys that are not set take the values of the network's record.

    Attributes
    ----------
    name : a network of facevalue, or of timm.
    weights : ``hub`` (timm's weights), ``none`` (random), or a ``.safetensors`` or ``.pth`` file.
    convention : normalisation and padding that a weights file expects: ``auto`` (from the file's known SHA-256),
        ``own`` (the record's), or a convention of the network, such as ``tensorflow``.
    options : options of the network, such as ``widths`` of ``small-cnn``.
    size : side of the network input in pixels, 8 to 4096.
    fit : ``squash`` stretches the image to a square, ``crop`` takes the central square, ``pad`` adds grey bars.
    filter : the resampling filter.
    crop_fraction : share of the shorter side that ``crop`` keeps, in (0, 1].
    jpeg_gap : 0 decodes JPEGs at full size; 1 to 64 decodes large ones at reduced size, faster but less exact.
    mean, std : red, green and blue, of pixels in [0, 1]; the network subtracts the mean and divides by std.
    """

    name: str = "mobilenetv2_100"
    weights: str = "hub"
    convention: str = "auto"
    options: dict[str, Any] = {}
    size: int | None = None
    fit: Fit | None = None
    filter: Filter | None = None
    crop_fraction: float | None = None
    jpeg_gap: float | None = None
    mean: Triple | None = None
    std: Triple | None = None


class SplitSettings(Settings, frozen=True):
    """Shares of the images in each split; the rest is train.

    Attributes
    ----------
    validation : share for early stopping and the choice of the epoch, above 0.
    calibration : share for temperature, threshold and abstention, above 0.
    test : share for the final evaluation, above 0.
    near : hashes of near-duplicates differ in at most this many of 256 bits; -1 joins none.
    groups : images that must stay in one split: ``parent``, ``stem:REGEX``, ``image`` or a manifest's column. If it
        matches no image, the default groups are used.
    """

    validation: float = 0.1
    calibration: float = 0.1
    test: float = 0.2
    near: int = 32
    groups: str | None = None

    def __post_init__(self) -> None:
        shares = (self.validation, self.calibration, self.test)
        expect(
            min(shares) > 0 and sum(shares) < 0.95,
            "validation, calibration and test",
            "above 0 and below 0.95 together",
            shares,
        )


class OptimizerSettings(Settings, frozen=True):
    """The optimiser.

    Attributes
    ----------
    name : the optimiser.
    lr : learning rate, above 0.
    weight_decay : L2 penalty on weights, not on biases and norms; ``adamw`` decouples it from the gradient.
    momentum : of ``sgd`` and ``rmsprop``, in [0, 1).
    """

    name: Literal["rmsprop", "adam", "adamw", "sgd"] = "adamw"
    lr: float = 1e-3
    weight_decay: float = 0.0
    momentum: float = 0.9

    def __post_init__(self) -> None:
        expect(self.lr > 0, "lr", "above 0", self.lr)
        expect(self.weight_decay >= 0, "weight_decay", "at least 0", self.weight_decay)
        expect(0 <= self.momentum < 1, "momentum", "in [0, 1)", self.momentum)


class ScheduleSettings(Settings, frozen=True):
    """The learning rate by epoch; see :mod:`facevalue.training.schedule`.

    Attributes
    ----------
    name : ``constant``, ``cosine`` (Loshchilov & Hutter 2017, arXiv:1608.03983), ``step`` or ``plateau``.
    warmup_epochs : epochs in which the rate grows from near 0.
    factor : ``step`` and ``plateau`` multiply the rate by this, in (0, 1).
    patience : epochs without a lower validation loss before ``plateau`` acts.
    step_epochs : epochs between two changes of ``step``.
    floor : the rate never falls below this share of ``optimizer.lr``.
    """

    name: Literal["constant", "cosine", "step", "plateau"] = "constant"
    warmup_epochs: int = 0
    factor: float = 0.1
    patience: int = 2
    step_epochs: int = 10
    floor: float = 0.0

    def __post_init__(self) -> None:
        expect(0 < self.factor < 1, "factor", "in (0, 1)", self.factor)
        expect(self.step_epochs > 0 and self.patience >= 0, "step_epochs and patience", "positive", self.step_epochs)


class FitSettings(Settings, frozen=True):
    """The training loop.

    Attributes
    ----------
    epochs : maximum number of passes over the training images.
    batch_size : images per step, at least 2.
    label_smoothing : share of each label that is spread over all classes, in [0, 1).
    class_weights : ``balanced`` gives rare classes more weight in the loss.
    patience : epochs without a better validation figure before training stops; 0: never.
    monitor : the validation figure that chooses the epoch. Adversarial training uses robust accuracy instead.
    keep : weights of the ``best`` epoch on validation, or of the ``last``. If validation is small or differs from the
        images in use, the best epoch is mostly chance.
    precision : of the arithmetic; ``auto`` is 32 bits on a CPU.
    stages : how many of the network's last stages ``finetune`` trains.
    head_lr_factor : the last layer's learning rate, as a multiple of ``optimizer.lr``.
    freeze_batchnorm : batch norm keeps its initial statistics.
    """

    epochs: int = 15
    batch_size: int = 32
    label_smoothing: float = 0.0
    class_weights: Literal["none", "balanced"] = "none"
    patience: int = 0
    monitor: Literal["loss", "accuracy"] = "loss"
    keep: Literal["best", "last"] = "best"
    precision: Literal["auto", "32", "bf16", "16"] = "auto"
    stages: int | Literal["all"] = "all"
    head_lr_factor: float = 1.0
    freeze_batchnorm: bool = False

    def __post_init__(self) -> None:
        expect(self.epochs >= 1, "epochs", "at least 1", self.epochs)
        expect(self.batch_size >= 2, "batch_size", "at least 2, for batch norm", self.batch_size)
        expect(0 <= self.label_smoothing < 1, "label_smoothing", "in [0, 1)", self.label_smoothing)
        expect(self.keep == "best" or not self.patience, "patience", "0 where the last epoch is kept", self.patience)
        expect(self.stages == "all" or self.stages >= 1, "stages", "'all' or at least 1", self.stages)


class AugmentSettings(Settings, frozen=True):
    """Random changes to training images, the same for every class. 0 or false switches a change off.

    Attributes
    ----------
    flip : mirror left and right.
    rotation : up to this share of a full turn in either direction (0.2 is 72 degrees, as in Keras).
    zoom : in or out by up to this share, the same for both sides.
    shift : by up to this share of the side.
    height, width : stretched or shrunk by up to this share.
    fill : pixels from outside the image: ``mirror`` of the image, or ``plain`` grey, drawn per image.
    brightness, contrast, saturation : changed by up to this share.
    grey : colour removed with this probability (Chen et al. 2020, arXiv:2002.05709).
    jpeg : saved as JPEG with a quality between this and 95; 0: off.
    blur : up to this radius in pixels.
    rescale : each side shrunk by up to this share and enlarged again.
    corruption : probability of ``jpeg``, ``blur`` and ``rescale``, independent of each other.
    remake : probability that an image is re-made as other programs do: shrunk or enlarged by a random filter and factor
        from 0.3 to 1.5, brought back by another random filter, and in half of the cases saved as JPEG or WebP. So the
        network cannot learn which program made an image.
    randaugment : strength, 1 to 10, of two random operations (Cubuk et al. 2020, arXiv:1909.13719).
    mixup, cutmix : alpha of the beta distribution (arXiv:1710.09412, arXiv:1905.04899).
    background : the background is replaced by a uniform grey with this probability; see
        :mod:`facevalue.training.foreground`.
    noise : standard deviation of Gaussian noise on pixels in [0, 1], added last and not clipped. Certificates by
        randomised smoothing need it (Cohen et al. 2019, arXiv:1902.02918).
    """

    flip: bool = False
    rotation: float = 0.0
    zoom: float = 0.0
    shift: float = 0.0
    height: float = 0.0
    width: float = 0.0
    fill: Literal["mirror", "plain"] = "mirror"
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    grey: float = 0.0
    jpeg: int = 0
    blur: float = 0.0
    rescale: float = 0.0
    corruption: float = 0.5
    remake: float = 0.0
    randaugment: int = 0
    mixup: float = 0.0
    cutmix: float = 0.0
    background: float = 0.0
    noise: float = 0.0

    def __post_init__(self) -> None:
        for name in ("rotation", "zoom", "shift", "height", "width", "brightness", "contrast", "saturation", "rescale"):
            expect(0 <= getattr(self, name) < 1, name, "in [0, 1)", getattr(self, name))
        expect(0 <= self.jpeg <= 95, "jpeg", "a quality from 0 to 95", self.jpeg)
        expect(0 <= self.randaugment <= 10, "randaugment", "from 0 to 10", self.randaugment)
        for name in ("corruption", "remake", "background", "grey"):
            expect(0 <= getattr(self, name) <= 1, name, "a probability", getattr(self, name))
        for name in ("blur", "mixup", "cutmix", "noise"):
            expect(0 <= getattr(self, name) < math.inf, name, "a number of at least 0", getattr(self, name))


class AdversarialSettings(Settings, frozen=True):
    """Adversarial training; see :mod:`facevalue.training.adversarial`.

    Attributes
    ----------
    method : ``pgd`` (Madry et al. 2018), ``fast`` (Wong et al. 2020), ``trades`` (Zhang et al. 2019), ``free``
        (Shafahi et al. 2019), or ``none``.
    norm : norm of the threat.
    eps : radius of the threat, for pixels of the network input scaled to [0, 1]: 4/255 is 0.01569.
    share : share of each batch that is attacked, in (0, 1]; ``trades`` attacks all images.
    steps : attack steps of ``pgd`` and ``trades``.
    reach : length of all steps together, as a multiple of eps.
    beta : weight of the robust part of the loss of ``trades``.
    replays : number of times that ``free`` uses each batch.
    ramp_epochs : epochs over which eps grows from 0.
    validation_steps : steps of the PGD attack on validation after each epoch; the weights with the best robust
        accuracy are kept.
    """

    method: Literal["none", "pgd", "fast", "trades", "free"] = "none"
    norm: Literal["linf", "l2"] = "linf"
    eps: float = 4 / 255
    share: float = 0.5
    steps: int = 7
    reach: float = 2.5
    beta: float = 6.0
    replays: int = 4
    ramp_epochs: int = 0
    validation_steps: int = 10

    def __post_init__(self) -> None:
        expect(
            self.eps > 0 and (self.norm == "l2" or self.eps <= 1), "eps", "above 0 and, for linf, at most 1", self.eps
        )
        expect(0 < self.share <= 1, "share", "in (0, 1]", self.share)
        expect(self.reach > 0 and self.beta > 0, "reach and beta", "above 0", (self.reach, self.beta))
        expect(self.ramp_epochs >= 0, "ramp_epochs", "at least 0", self.ramp_epochs)
        for name in ("steps", "replays", "validation_steps"):
            expect(getattr(self, name) >= 1, name, "at least 1", getattr(self, name))


class DistillSettings(Settings, frozen=True):
    """Distillation from a teacher model; see :mod:`facevalue.training.distillation`.

    Attributes
    ----------
    teacher : the teacher's model folder; empty for no distillation.
    temperature : softens the probabilities, at least 1.
    weight : share of the teacher's probabilities in the loss, in (0, 1]; the rest is for the labels.
    form : ``defensive`` (Papernot et al. 2016), ``knowledge`` (Hinton et al. 2015), or ``auto``: defensive if the
        network is the same as the teacher's, else knowledge.
    teacher_sha256 : SHA-256 of the teacher's weights; set by training.
    """

    teacher: str = ""
    temperature: float = 20.0
    weight: float = 1.0
    form: Literal["auto", "defensive", "knowledge"] = "auto"
    teacher_sha256: str = ""

    def __post_init__(self) -> None:
        expect(self.temperature >= 1, "temperature", "at least 1", self.temperature)
        expect(0 < self.weight <= 1, "weight", "in (0, 1]", self.weight)


class ProbeSettings(Settings, frozen=True):
    """The linear head of the method ``probe``; see :func:`facevalue.training.probe.fit_probe`.

    Attributes
    ----------
    loss : ``logistic``, or ``squared`` error to 0 and 1, for many more features than images.
    strengths : inverses of the L2 penalty; validation chooses one.
    scale : features are divided by one number (``whole``), ``each`` by its own deviation, or ``kind``: each by its own
        deviation and by the size of its kind, for a network with several kinds of features.
    copies : number of augmented copies of every training image; 0.5: of every second image. Each costs another pass
        through the backbone.
    copy_consistency : weight in the loss of the squared difference between the scores of a copy and of its image.
        Above 0, copies are used only for that. Needs ``squared`` loss and ``copies``.
    quarter_consistency : weight in the loss of the squared differences between the scores of an image's four quarters.
        Needs ``squared`` loss and a network whose features do not depend on position.
    """

    loss: Literal["logistic", "squared"] = "logistic"
    strengths: tuple[float, ...] = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
    scale: Literal["whole", "each", "kind"] = "whole"
    copies: float = 0.0
    copy_consistency: float = 0.0
    quarter_consistency: float = 0.0

    def __post_init__(self) -> None:
        expect(0 <= self.copies < math.inf, "copies", "a number of at least 0", self.copies)
        for name in ("copy_consistency", "quarter_consistency"):  # far below the limits of single precision
            expect(0 <= getattr(self, name) <= 1e6, name, "from 0 to 1e6", getattr(self, name))
        for name in ("copy_consistency", "quarter_consistency"):
            given = getattr(self, name)
            expect(not given or self.loss == "squared", name, "0 where the loss is logistic", given)
        expect(
            not self.copy_consistency or self.copies > 0,
            "copy_consistency",
            "0 without probe.copies",
            self.copy_consistency,
        )
        above = bool(self.strengths) and min(self.strengths) > 0 and max(self.strengths) < math.inf
        expect(above, "strengths", "numbers above 0", self.strengths)


class CalibrationSettings(Settings, frozen=True):
    """Calibration and the limits of abstention; see :mod:`facevalue.evaluation.answer_limits`.

    Attributes
    ----------
    method : ``auto`` (temperature unless another method beats it in cross-validation), ``temperature``, ``vector``,
        ``beta``, ``isotonic`` or ``venn-abers``.
    damage : everyday damage to calibrate for, besides the images as they are: corruptions with a strength, such as
        ``jpeg-60``. Empty switches it off.
    damaged : most images for each kind of damage; a stated error and a bound on false positives use all images.
    max_error : largest error among answered images, in (0, 1), promised with 95 % confidence; replaces ``target``.
    max_false_positive : largest share of the negatives of each source that are called positive, in (0, 1), promised
        with 95 % confidence. For two classes.
    target : wanted accuracy on the answered images, in (0, 1); sets the confidence limit.
    floor : lowest confidence limit, in (0, 1).
    quantile : share of calibration-like images that must not count as novel, in (0, 1).
    stable : answers are made from so many versions of the network input, 2 to 7, and the model abstains where they
        disagree; 0 for one. See :class:`facevalue.evidence.card.Stability`.
    """

    method: Literal["auto", "temperature", "vector", "beta", "isotonic", "venn-abers"] = "auto"
    damage: tuple[str, ...] = EVERYDAY
    damaged: int = 200
    max_error: float | None = None
    max_false_positive: float | None = None
    target: float = 0.95
    floor: float = 0.6
    quantile: float = 0.95
    stable: int = 0

    def __post_init__(self) -> None:
        for name in ("target", "floor", "quantile"):
            expect(0 < getattr(self, name) < 1, name, "in (0, 1)", getattr(self, name))
        for name in ("max_error", "max_false_positive"):
            given = getattr(self, name)
            expect(given is None or 0 < given < 1, name, "in (0, 1)", given)
        expect(self.damaged >= 1, "damaged", "at least 1", self.damaged)
        for one in self.damage:
            Damage.of(one)
        expect(self.stable == 0 or 2 <= self.stable <= MOST, "stable", f"0 or from 2 to {MOST}", self.stable)

    @property
    def promises(self) -> bool:
        """Whether a promise is asked for."""
        return self.max_error is not None or self.max_false_positive is not None

    def choices(self) -> CalibrationChoices:
        """The same without what was done to the images."""
        return CalibrationChoices(
            method=self.method,
            target=self.target,
            floor=self.floor,
            quantile=self.quantile,
            max_error=self.max_error,
            max_false_positive=self.max_false_positive,
        )


class NoveltySettings(Settings, frozen=True):
    """Novelty scores; see :mod:`facevalue.models.novelty`.

    Attributes
    ----------
    scores : scores to compare; the one that answers fewest strangers is kept, and the first of equally good ones. Each
        set of strangers is left out of the fit in turn.
    """

    scores: tuple[str, ...] = ("contrast", "neighbours", "mahalanobis")

    def __post_init__(self) -> None:
        known = bool(self.scores) and set(self.scores) <= set(SCORES)
        expect(known, "scores", f"some of {', '.join(SCORES)}", ", ".join(self.scores) or "none")


class GateSettings(Settings, frozen=True):
    """Whether the network gets whole images or faces; see :class:`facevalue.evidence.gate_facts.GateFacts`.

    Attributes
    ----------
    kind : ``face`` looks for the largest face of each image, and leaves out images without one; ``none``: whole images.
    model : the face detector's file; empty for the one that ``facevalue data get yunet`` downloads.
    margin : share of the face's longer side that is added on each side.
    doubt, sure, smallest, roll, turn, rival : limits, see there.
    """

    kind: Literal["none", "face"] = "none"
    model: str = ""
    margin: float = 0.3
    doubt: float = 0.5
    sure: float = 0.8
    smallest: int = 32
    roll: float = 30.0
    turn: float = 1.5
    rival: float = 0.9

    def __post_init__(self) -> None:
        expect(0 <= self.margin <= 10, "margin", "from 0 to 10", self.margin)
        expect(
            0 < self.doubt <= self.sure <= 1, "doubt and sure", "in (0, 1], doubt the lower", (self.doubt, self.sure)
        )
        expect(self.smallest >= 1, "smallest", "at least 1", self.smallest)
        expect(0 < self.roll <= 180, "roll", "in (0, 180]", self.roll)
        expect(0 < self.turn < math.inf, "turn", "above 0", self.turn)
        expect(0 < self.rival <= 1, "rival", "in (0, 1]", self.rival)

    def opened(self) -> FaceGate | None:
        """The gate; ``None`` for whole images.

        Raises
        ------
        UsageError
            The face detector is not there.
        """
        if self.kind == "none":
            return None
        limits = {name: getattr(self, name) for name in ("doubt", "sure", "smallest", "roll", "turn", "rival")}
        return published_gate(self.model or None, **limits)
