"""A recipe: all settings of a training run. Read from TOML, changed by ``settings`` or ``--set``."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Literal, get_type_hints

import msgspec

from facevalue.errors import UsageError
from facevalue.images.preprocessing import Preprocessing
from facevalue.models.networks import find
from facevalue.support.formats import number_in
from facevalue.support.registry import did_you_mean
from facevalue.training.settings import (
    AdversarialSettings,
    AugmentSettings,
    CalibrationSettings,
    DistillSettings,
    FitSettings,
    GateSettings,
    NetworkSettings,
    NoveltySettings,
    OptimizerSettings,
    ProbeSettings,
    PurposeSettings,
    ScheduleSettings,
    Settings,
    SourceSettings,
    SplitSettings,
    expect,
)


class Recipe(Settings, frozen=True):
    """All settings of a training run.

    Attributes
    ----------
    method : ``probe`` (a linear head on the features of a frozen backbone), ``finetune`` (the head first, then the last
        stages or all) or ``scratch`` (all weights, from random ones).
    name, about : name and description, for people.
    positive : the class of threshold, AUROC and average precision; by default the second of two.
    seed : of the splits, the initial weights and all random draws.
    refit : train a second time at the end, on the train, validation and calibration images. Temperature and limits are
        those of the first training (as scikit-learn's ``CalibratedClassifierCV`` with ``ensemble=False``). Not with
        adversarial training.
    canaries : images that the model folder carries, for ``verify`` to predict again: ``test`` for drawn ones and up to
        24 test images, ``drawn`` for drawn ones only, if test images must not be copied.
    """

    method: Literal["probe", "finetune", "scratch"]
    name: str = ""
    about: str = ""
    positive: str | None = None
    seed: int = 0
    refit: bool = False
    canaries: Literal["test", "drawn"] = "test"
    purpose: PurposeSettings = PurposeSettings()
    network: NetworkSettings = NetworkSettings()
    gate: GateSettings = GateSettings()
    split: SplitSettings = SplitSettings()
    optimizer: OptimizerSettings = OptimizerSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    fit: FitSettings = FitSettings()
    augment: AugmentSettings = AugmentSettings()
    adversarial: AdversarialSettings = AdversarialSettings()
    distill: DistillSettings = DistillSettings()
    probe: ProbeSettings = ProbeSettings()
    calibration: CalibrationSettings = CalibrationSettings()
    novelty: NoveltySettings = NoveltySettings()
    sources: SourceSettings = SourceSettings()

    def __post_init__(self) -> None:
        expect(self.seed >= 0, "seed", "at least 0", self.seed)
        hardened = [
            name
            for name, on in (
                ("adversarial", self.adversarial.method != "none"),
                ("distill", bool(self.distill.teacher)),
            )
            if on
        ]
        expect(
            not hardened or self.method != "probe",
            "method",
            "finetune or scratch with " + " and ".join(hardened),
            "probe",
        )
        expect(
            not self.refit or self.adversarial.method == "none", "refit", "false with adversarial training", self.refit
        )
        if self.method == "probe":
            expect(
                (self.probe.copies > 0) == (self.augment != AugmentSettings()),
                "probe.copies",
                "above 0 with augment, and 0 without",
                self.probe.copies,
            )
            expect(not (self.augment.mixup or self.augment.cutmix), "mixup and cutmix", "0 for a probe", "more")
        else:
            for name in ("quarter_consistency", "copy_consistency", "copies"):
                given = getattr(self.probe, name)
                expect(not given, f"probe.{name}", f"0 where the method is {self.method}", given)

    def preprocessing(self) -> Preprocessing:
        """The network's default preprocessing with this recipe's changes."""
        own = find(self.network.name).preprocessing
        changes = {
            name: value
            for name in msgspec.structs.asdict(own)
            if (value := getattr(self.network, name, None)) is not None
        }
        margin = self.gate.margin if self.gate.kind == "face" else None
        return msgspec.structs.replace(own, **changes, face_margin=margin)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as in a TOML file."""
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
    "adversarial": "adversarial.method",
    "eps": "adversarial.eps",
    "teacher": "distill.teacher",
    "distill_temperature": "distill.temperature",
    "gate": "gate.kind",
    "gate_model": "gate.model",
    "max_error": "calibration.max_error",
    "max_false_positive": "calibration.max_false_positive",
    "stable": "calibration.stable",
    "device": "fit.device",
    "compile": "fit.compile",
}
"""Settings with their own parameter and flag: short name to dotted key."""


Setting = bool | int | float | str | None | Sequence["Setting"] | Mapping[str, "Setting"]
"""A recipe value, as in TOML; ``None`` means no change."""


def configured(
    recipe: str,
    *,
    seed: int | None = None,
    named: Mapping[str, Setting] | None = None,
    settings: Mapping[str, Setting] | None = None,
) -> Recipe:
    """A recipe with the changes that the verbs take.

    Parameters
    ----------
    named : settings by short name, see :data:`SHORT`.
    settings : settings by dotted key.
    """
    return read(
        recipe, {"seed": seed, **{SHORT[name]: value for name, value in (named or {}).items()}, **(settings or {})}
    )


def built_in() -> list[str]:
    """Names of the recipes that come with facevalue."""
    root = resources.files("facevalue") / "recipes"
    with resources.as_file(root) as folder:
        return sorted(str(p.relative_to(folder).with_suffix("")) for p in folder.rglob("*.toml"))


def read(name: str, changes: Mapping[str, Setting] | None = None) -> Recipe:
    """Read a recipe by name or from a TOML file, and change settings.

    Parameters
    ----------
    name : one of :func:`built_in`, or a path that ends in ``.toml``.
    changes : values by dotted key (``augment.flip``); ``None`` means no change.

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
            raise UsageError(f"`recipe` {name}: there is no such file")
        encoded = path.read_bytes()
    elif name in built_in():
        encoded = (resources.files("facevalue") / "recipes" / f"{name}.toml").read_bytes()
    else:
        near = did_you_mean(name, built_in())
        raise UsageError(f"there is no recipe {name!r}{near}; there are {', '.join(built_in())}, or give a .toml file")
    try:
        table = tomllib.loads(encoded.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"`recipe` {name} is not TOML: {error}") from error
    table.setdefault("name", Path(name).stem if name.endswith(".toml") else name)
    for key, value in (changes or {}).items():
        if value is not None:
            _put(table, key, value)
    _read_fraction(table)
    try:
        return msgspec.convert(table, Recipe)
    except msgspec.ValidationError as error:
        raise UsageError(f"recipe {name}: {_explained(error)}") from error


def _put(table: dict[str, Any], key: str, value: Any) -> None:
    *path, last = key.split(".")
    for part in path:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise UsageError(f"`settings` {key}: {part} is a single value, not a table of settings")
    table[last] = value


def _read_fraction(table: dict[str, Any]) -> None:
    """Read ``adversarial.eps`` if it is written as a fraction: "4/255"."""
    hardening = table.get("adversarial")
    if isinstance(hardening, dict) and isinstance(hardening.get("eps"), str):
        try:
            hardening["eps"] = number_in(hardening["eps"])
        except ValueError as error:
            got = hardening["eps"]
            raise UsageError(f"Expected adversarial.eps as a number or as 4/255, but got {got!r}") from error


def _explained(error: msgspec.ValidationError) -> str:
    """msgspec's message; for an unknown setting it lists the known ones."""
    text = str(error)
    if "unknown field" not in text:
        return text
    where = text.rpartition("$.")[2].rstrip("`") if "$." in text else ""
    table: Any = Recipe
    for part in where.split(".") if where else []:
        table = get_type_hints(table)[part]
    return f"{text}; the settings there are {', '.join(f.name for f in msgspec.structs.fields(table))}"
