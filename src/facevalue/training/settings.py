"""The tables of a recipe: every setting, its default and what it may be."""

from __future__ import annotations

import math
from typing import Any, Literal

import msgspec

from facevalue.images.preprocessing import Filter, Fit
from facevalue.models.networks.base import Triple


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of a recipe's tables: frozen and strict."""


def expect(good: bool, name: str, wanted: str, got: object) -> None:
    """Raise a ``ValueError``, which msgspec turns into one of its own, unless ``good``."""
    if not good:
        raise ValueError(f"expected {name} to be {wanted}, but got {got}")


class NetworkSettings(Settings, frozen=True):
    """Which network, from which weights, on what network input. What is ``None`` comes from the network's record."""

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
    """Shares of the images; the rest is train. ``near``: bits between near-duplicates, -1 for no joining.

    ``groups``: what never crosses a split, as ``groups`` of ``train`` says it: ``parent``, ``stem:REGEX``, ``image`` or a
    manifest's column. Where no image is named so, the usual groups are made.
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
    """``weight_decay`` is L2 on weights (not biases or norms), decoupled from the gradient for ``adamw``."""

    name: Literal["rmsprop", "adam", "adamw", "sgd"] = "adamw"
    lr: float = 1e-3
    weight_decay: float = 0.0
    momentum: float = 0.9

    def __post_init__(self) -> None:
        expect(self.lr > 0, "lr", "above 0", self.lr)
        expect(self.weight_decay >= 0, "weight_decay", "at least 0", self.weight_decay)
        expect(0 <= self.momentum < 1, "momentum", "in [0, 1)", self.momentum)


class ScheduleSettings(Settings, frozen=True):
    """How the learning rate changes by epoch; see :mod:`facevalue.training.schedule`."""

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
    """The loop. ``patience`` 0 switches early stopping off; the best weights on validation are kept either way.

    ``monitor`` says by which figure; adversarial training goes by robust validation accuracy whatever it is.
    ``keep`` = ``last`` keeps the last epoch's instead: where validation is small, or not like what the model will meet,
    its best epoch is a matter of luck, while a rate that has come down to 0 ends in a good place.
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
        expect(self.batch_size >= 1, "batch_size", "at least 1", self.batch_size)
        expect(0 <= self.label_smoothing < 1, "label_smoothing", "in [0, 1)", self.label_smoothing)
        expect(self.keep == "best" or not self.patience, "patience", "0 where the last epoch is kept", self.patience)
        expect(self.stages == "all" or self.stages >= 1, "stages", "'all' or at least 1", self.stages)


class AugmentSettings(Settings, frozen=True):
    """Random changes to training images, the same for every class. 0 or false switches one off.

    Preprocessing: ``flip`` left and right; ``rotation`` up to this share of a full turn either way (Keras's unit: 0.2 is
    72 degrees); ``zoom`` in or out by up to this share, both sides alike; ``shift`` by up to this share of the side;
    ``height`` and ``width`` stretched or shrunk by up to this share. What comes in from outside is ``fill``: ``mirror``
    the image, or ``plain``, a grey drawn for each image, which teaches that empty background mean nothing.
    Colour: ``brightness``, ``contrast``, ``saturation`` by up to this share; ``grey`` without colour, with this
    probability (Chen et al. 2020, arXiv:2002.05709).
    Damage, each with probability ``corruption``: ``jpeg`` saved at a quality from this to 95; ``blur`` up to this radius in
    pixels; ``rescale`` down to no less than this share and up again.
    ``randaugment``: strength 1 to 10 of two random operations (Cubuk et al. 2020, arXiv:1909.13719).
    ``mixup``, ``cutmix``: alpha of the beta distribution (arXiv:1710.09412, arXiv:1905.04899).
    ``background``: what is not the image's subject becomes a plain grey, drawn for each image, with this
    probability; see :mod:`facevalue.training.foreground`.
    ``noise``: Gaussian noise of this deviation on pixels in [0, 1], added last and not clipped: what a network needs
    that is to stand behind randomised smoothing (Cohen et al. 2019, arXiv:1902.02918).
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
        for name in ("corruption", "background", "grey"):
            expect(0 <= getattr(self, name) <= 1, name, "a probability", getattr(self, name))
        for name in ("blur", "mixup", "cutmix", "noise"):
            expect(0 <= getattr(self, name) < math.inf, name, "a number of at least 0", getattr(self, name))


class AdversarialSettings(Settings, frozen=True):
    """Training on attacked images; see :mod:`facevalue.training.adversarial`.

    ``method``: ``none``, ``pgd`` (Madry et al. 2018), ``fast`` (Wong et al. 2020), ``trades`` (Zhang et al. 2019) or
    ``free`` (Shafahi et al. 2019). ``eps`` is in pixels of the network input scaled to [0, 1]: 4/255 is 0.01569.
    ``share`` of every batch is attacked, the rest stays clean; ``trades`` has ``beta`` for that and attacks all.
    ``steps`` of ``pgd`` and ``trades``, all together ``reach`` eps long; ``fast`` takes one of 1.25 eps.
    ``replays`` of every batch by ``free``. ``eps`` grows from 0 over ``ramp_epochs``. After every epoch the validation
    split is attacked with PGD of ``validation_steps``, and the weights with the best robust accuracy are kept.
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
    """Learning from a model instead of from labels; see :mod:`facevalue.training.distillation`.

    ``teacher`` is a model folder; empty for none. ``form``: ``defensive`` (Papernot et al. 2016), ``knowledge`` (Hinton
    et al. 2015), or ``auto``: defensive where the network is the teacher's own, knowledge where it is another.
    ``weight`` is the teacher's share of the loss; the rest is the labels'. ``teacher_sha256`` of its weights is filled
    in.
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
    """``strengths`` are inverses of the L2 penalty, among which validation chooses.

    ``loss``: ``logistic``, or ``squared`` distances from 1 for the class and 0 for the others, for many more features
    than images. ``scale``: features are scaled as a ``whole``, ``each`` by its own deviation, or ``kind`` by kind as
    well, where a network has several; see :func:`facevalue.training.probe.fit_probe`. ``copies`` of every training
    image (0.5: of every second), changed as ``augment`` says, are learned from beside it; each costs another pass
    through the backbone. With ``copy_consistency`` they are not learned from but are to score as the image that they are of: by
    so much the square of the difference counts beside an image's squared error. ``quarter_consistency``: how much the four quarters
    of an image are to score alike, beside its own squared error; needs a network whose features do not say where
    things are. Both need ``squared`` loss.
    """

    loss: Literal["logistic", "squared"] = "logistic"
    strengths: tuple[float, ...] = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
    scale: Literal["whole", "each", "kind"] = "whole"
    copies: float = 0.0
    copy_consistency: float = 0.0
    quarter_consistency: float = 0.0

    def __post_init__(self) -> None:
        expect(0 <= self.copies < math.inf, "copies", "a number of at least 0", self.copies)
        for name in ("copy_consistency", "quarter_consistency"):  # far below where single precision ends
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
    """See :func:`facevalue.evaluation.calibration.choose_confidence` and :func:`facevalue.evaluation.calibration.novelty_limit`."""

    target: float = 0.95
    floor: float = 0.6
    quantile: float = 0.99

    def __post_init__(self) -> None:
        for name in ("target", "floor", "quantile"):
            expect(0 < getattr(self, name) < 1, name, "in (0, 1)", getattr(self, name))
