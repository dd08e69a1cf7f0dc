"""A recipe: every setting of a training run. Read from TOML, changed by ``--set``."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Literal, get_type_hints

import msgspec

from facevalue.errors import UsageError
from facevalue.networks import find
from facevalue.networks.base import Triple
from facevalue.pixels import Filter, Fit, Geometry


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of a recipe's tables: frozen and strict."""


def _expect(good: bool, name: str, wanted: str, got: object) -> None:
    if not good:
        raise ValueError(f"expected {name} to be {wanted}, but got {got}")


class NetworkSettings(Settings, frozen=True):
    """Which network, from which weights, on what square. What is ``None`` comes from the network's record."""

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
    """Shares of the pictures; the rest is train. ``near``: bits between near-duplicates, -1 for no joining."""

    validation: float = 0.1
    calibration: float = 0.1
    test: float = 0.2
    near: int = 32

    def __post_init__(self) -> None:
        shares = (self.validation, self.calibration, self.test)
        _expect(
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
        _expect(self.lr > 0, "lr", "above 0", self.lr)
        _expect(self.weight_decay >= 0, "weight_decay", "at least 0", self.weight_decay)
        _expect(0 <= self.momentum < 1, "momentum", "in [0, 1)", self.momentum)


class ScheduleSettings(Settings, frozen=True):
    """How the learning rate changes by epoch; see :mod:`facevalue.training.schedule`."""

    name: Literal["constant", "cosine", "step", "plateau"] = "constant"
    warmup_epochs: int = 0
    factor: float = 0.1
    patience: int = 2
    step_epochs: int = 10
    floor: float = 0.0

    def __post_init__(self) -> None:
        _expect(0 < self.factor < 1, "factor", "in (0, 1)", self.factor)
        _expect(self.step_epochs > 0 and self.patience >= 0, "step_epochs and patience", "positive", self.step_epochs)


class FitSettings(Settings, frozen=True):
    """The loop. ``patience`` 0 switches early stopping off; the best weights on validation are kept either way."""

    epochs: int = 15
    batch_size: int = 32
    label_smoothing: float = 0.0
    class_weights: Literal["none", "balanced"] = "none"
    patience: int = 0
    monitor: Literal["loss", "accuracy"] = "loss"
    precision: Literal["auto", "32", "bf16", "16"] = "auto"
    stages: int | Literal["all"] = "all"
    head_lr_factor: float = 1.0
    freeze_batchnorm: bool = False

    def __post_init__(self) -> None:
        _expect(self.epochs >= 1, "epochs", "at least 1", self.epochs)
        _expect(self.batch_size >= 1, "batch_size", "at least 1", self.batch_size)
        _expect(0 <= self.label_smoothing < 1, "label_smoothing", "in [0, 1)", self.label_smoothing)
        _expect(self.stages == "all" or self.stages >= 1, "stages", "'all' or at least 1", self.stages)


class AugmentSettings(Settings, frozen=True):
    """Random changes to training pictures, the same for every class. 0 or false switches one off.

    Geometry: ``flip`` left and right; ``rotation`` up to this share of a full turn either way (Keras's unit: 0.2 is
    72 degrees); ``zoom`` in or out by up to this share, both sides alike; ``shift`` by up to this share of the side;
    ``height`` and ``width`` stretched or shrunk by up to this share. What comes in from outside is ``fill``: ``mirror``
    the picture, or ``plain``, a grey drawn for each picture, which teaches that empty surroundings mean nothing.
    Colour: ``brightness``, ``contrast``, ``saturation`` by up to this share.
    Damage, each with probability ``damage``: ``jpeg`` saved at a quality from this to 95; ``blur`` up to this radius in
    pixels; ``rescale`` down to no less than this share and up again.
    ``randaugment``: strength 1 to 10 of two random operations (Cubuk et al. 2020, arXiv:1909.13719).
    ``mixup``, ``cutmix``: alpha of the beta distribution (arXiv:1710.09412, arXiv:1905.04899).
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
    jpeg: int = 0
    blur: float = 0.0
    rescale: float = 0.0
    damage: float = 0.5
    randaugment: int = 0
    mixup: float = 0.0
    cutmix: float = 0.0

    def __post_init__(self) -> None:
        for name in ("rotation", "zoom", "shift", "height", "width", "brightness", "contrast", "saturation", "rescale"):
            _expect(0 <= getattr(self, name) < 1, name, "in [0, 1)", getattr(self, name))
        _expect(0 <= self.jpeg <= 95, "jpeg", "a quality from 0 to 95", self.jpeg)
        _expect(0 <= self.randaugment <= 10, "randaugment", "from 0 to 10", self.randaugment)
        _expect(0 <= self.damage <= 1, "damage", "a probability", self.damage)
        _expect(
            self.blur >= 0 and self.mixup >= 0 and self.cutmix >= 0, "blur, mixup and cutmix", "at least 0", self.blur
        )


class ProbeSettings(Settings, frozen=True):
    """Inverse strengths of the L2 penalty among which validation chooses."""

    strengths: tuple[float, ...] = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)

    def __post_init__(self) -> None:
        _expect(bool(self.strengths) and min(self.strengths) > 0, "strengths", "numbers above 0", self.strengths)


class CalibrationSettings(Settings, frozen=True):
    """See :func:`facevalue.calibration.choose_confidence` and :func:`facevalue.calibration.novelty_limit`."""

    target: float = 0.95
    floor: float = 0.6
    quantile: float = 0.99

    def __post_init__(self) -> None:
        for name in ("target", "floor", "quantile"):
            _expect(0 < getattr(self, name) < 1, name, "in (0, 1)", getattr(self, name))


class Recipe(Settings, frozen=True):
    """Every setting of a training run.

    ``method`` is ``probe`` (backbone frozen, its features computed once, a linear head), ``finetune`` (head first, then
    the last stages or all) or ``scratch`` (all weights, from the start). ``positive`` names the class that threshold,
    AUROC and average precision are about; by default the last of two.
    """

    method: Literal["probe", "finetune", "scratch"]
    name: str = ""
    about: str = ""
    positive: str | None = None
    network: NetworkSettings = NetworkSettings()
    split: SplitSettings = SplitSettings()
    optimizer: OptimizerSettings = OptimizerSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    fit: FitSettings = FitSettings()
    augment: AugmentSettings = AugmentSettings()
    probe: ProbeSettings = ProbeSettings()
    calibration: CalibrationSettings = CalibrationSettings()

    def geometry(self) -> Geometry:
        """The network's own geometry with this recipe's changes."""
        own = find(self.network.name).geometry
        fields = msgspec.structs.asdict(own)
        changes = {name: value for name in fields if (value := getattr(self.network, name)) is not None}
        return Geometry(**(fields | changes))

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as the TOML file would hold them."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain


SHORT = {
    "network": "network.name",
    "weights": "network.weights",
    "size": "network.size",
    "epochs": "fit.epochs",
    "batch_size": "fit.batch_size",
    "lr": "optimizer.lr",
    "optimizer": "optimizer.name",
    "positive": "positive",
}
"""Settings with a flag of their own, by the setting that each means."""


def built_in() -> list[str]:
    """Names of the recipes that come with facevalue."""
    root = resources.files("facevalue") / "recipes"
    with resources.as_file(root) as folder:
        return sorted(str(p.relative_to(folder).with_suffix("")) for p in folder.rglob("*.toml"))


def read(name: str, changes: Mapping[str, Any] | None = None) -> Recipe:
    """A recipe by name or TOML file, with settings changed.

    Parameters
    ----------
    name : one of :func:`built_in`, or a path that ends in ``.toml``.
    changes : values by dotted key (``augment.flip``), ``None`` for no change.

    Raises
    ------
    UsageError
        There is no such recipe or setting, or a value is of the wrong type or out of range.

    Examples
    --------
    >>> read("scratch", {"fit.epochs": 3}).fit.epochs
    3
    """
    if name.endswith(".toml"):
        path = Path(name)
        if not path.is_file():
            raise UsageError(f"--recipe {name}: there is no such file")
        encoded = path.read_bytes()
    elif name in built_in():
        encoded = (resources.files("facevalue") / "recipes" / f"{name}.toml").read_bytes()
    else:
        raise UsageError(f"there is no recipe {name!r}; there are {', '.join(built_in())}, or give a .toml file")
    try:
        table = tomllib.loads(encoded.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"--recipe {name} is not TOML: {error}") from error
    table.setdefault("name", Path(name).stem if name.endswith(".toml") else name)
    for key, value in (changes or {}).items():
        if value is not None:
            _put(table, key, value)
    try:
        return msgspec.convert(table, Recipe)
    except msgspec.ValidationError as error:
        raise UsageError(f"recipe {name}: {_explained(error)}") from error


def _put(table: dict[str, Any], key: str, value: Any) -> None:
    *path, last = key.split(".")
    for part in path:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise UsageError(f"--set {key}: {part} is not a table of settings")
    table[last] = value


def _explained(error: msgspec.ValidationError) -> str:
    """msgspec's message, and for an unknown setting the known ones."""
    text = str(error)
    if "unknown field" not in text:
        return text
    where = text.rpartition("$.")[2].rstrip("`") if "$." in text else ""
    table: Any = Recipe
    for part in where.split(".") if where else []:
        table = get_type_hints(table)[part]
    return f"{text}; the settings there are {', '.join(f.name for f in msgspec.structs.fields(table))}"
