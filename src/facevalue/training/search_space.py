"""The search space of ``tune``: settings of a recipe, and the values to try."""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facevalue.errors import UsageError
from facevalue.support import files
from facevalue.support.formats import eps_text, number_in
from facevalue.training.recipe import Recipe

Value = float | int | str | bool

FIXED = ("split", "seed", "refit", "positive", "calibration", "name", "about")
"""Tables and settings that change what is measured; trials with different values would not be comparable."""


@dataclass(frozen=True)
class Between:
    """Numbers from ``low`` to ``high``; with ``log``, uniform on a logarithmic scale.

    Whole numbers if both ends are whole, unless the recipe's setting is a float (:func:`typed`).
    """

    low: float
    high: float
    log: bool = False

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are tried."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def as_value(self) -> Any:
        """The search as a TOML value."""
        return {"low": self.low, "high": self.high, "log": self.log}

    def holds(self, value: Any) -> bool:
        """Whether a value lies within."""
        return isinstance(value, int | float) and not isinstance(value, bool) and self.low <= value <= self.high


@dataclass(frozen=True)
class OneOf:
    """A choice among values of any recipe type."""

    values: tuple[Any, ...]

    def as_value(self) -> Any:
        """The search as a TOML value."""
        return list(self.values)

    def holds(self, value: Any) -> bool:
        """Whether a value is one of them."""
        return plain(value) in [plain(v) for v in self.values]


Search = Between | OneOf
Space = Mapping[str, Search]


def plain(value: Any) -> Value:
    """A value as a study stores it: numbers and strings unchanged, lists and tables as JSON.

    >>> plain(0.1), plain([8, 16])
    (0.1, '[8, 16]')
    """
    return value if isinstance(value, str | int | float | bool) else json.dumps(value, sort_keys=True)


def spec(key: str, text: str) -> Search:
    """Parse SPEC of ``--search KEY=SPEC``: ``LOW..HIGH``, ``LOW..HIGH,log``, or a TOML list of values.

    >>> spec("optimizer.lr", "1e-5..1e-2,log")
    Between(low=1e-05, high=0.01, log=True)
    >>> spec("fit.batch_size", "[16, 32]")
    OneOf(values=(16, 32))

    Raises
    ------
    UsageError
        The text has none of these forms.
    """
    if ".." in text and not text.lstrip().startswith(("[", "{")):
        ends, _, log = (part.strip() for part in text.partition(","))
        low, _, high = (part.strip() for part in ends.partition(".."))
        if log in ("", "log"):
            return checked(key, {"low": _toml(key, low), "high": _toml(key, high), "log": bool(log)})
    return checked(key, _toml(key, text))


def _toml(key: str, text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError as error:
        raise _wrong(key, text) from error


def _wrong(key: str, got: object) -> UsageError:
    return UsageError(f"search of {key}: expected LOW..HIGH, LOW..HIGH,log or a list of values, but got {got}")


def checked(key: str, value: Any) -> Search:
    """Parse a TOML value: a list of at least two values, or a table ``{low, high, log}``."""
    match value:
        case list() if len({json.dumps(v, sort_keys=True) for v in value}) >= 2:
            return OneOf(tuple(value))
        case {"low": int() | float() as low, "high": int() | float() as high, **more} if set(more) <= {"log"}:
            log = bool(more.get("log", False))
            if not (math.isfinite(low) and math.isfinite(high) and low < high) or (log and low <= 0):
                raise UsageError(
                    f"search of {key}: expected LOW below HIGH, and above 0 for log, but got {low} and {high}"
                )
            return Between(low, high, log)
    raise _wrong(key, value)


def read_space(path: Path) -> dict[str, Search]:
    """Read the table ``[search]`` of a TOML file: ``"optimizer.lr" = "1e-5..1e-2,log"`` or a list, as for ``--search``.

    A table is allowed too: ``{low = 1e-5, high = 1e-2, log = true}``.

    Raises
    ------
    UsageError
        The file cannot be read, is not TOML or has no such table.
    """
    document = files.read_toml(path, f"`space` {path}")
    table = document.get("search")
    if not isinstance(table, dict) or not table or set(document) != {"search"}:
        raise UsageError(f'`space` {path}: expected one table [search] with settings such as "optimizer.lr" in it')
    return {key: spec(key, value) if isinstance(value, str) else checked(key, value) for key, value in _flat(table)}


def _flat(table: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Pairs of dotted key and search. Dotted keys without quotes are nested TOML tables; a search has a key ``low``."""
    found: list[tuple[str, Any]] = []
    for key, value in table.items():
        if isinstance(value, dict) and "low" not in value:
            found.extend(_flat(value, f"{prefix}{key}."))
        else:
            found.append((prefix + key, value))
    return found


def default_space(recipe: Recipe) -> dict[str, Search]:
    """The default search space: learning rate around the recipe's, weight decay, label smoothing and batch size.

    Raises
    ------
    UsageError
        The recipe is a probe, which chooses its strength itself.
    """
    if recipe.method == "probe":
        raise UsageError(
            "the recipe is a probe, which chooses its strength itself; name the settings to search, "
            "e.g. `search` network.size=[128, 160, 224]"
        )
    lr = recipe.optimizer.lr
    return {
        "optimizer.lr": Between(lr / 10, lr * 10, log=True),
        "optimizer.weight_decay": Between(1e-5, 1e-1, log=True),
        "fit.label_smoothing": OneOf((0.0, 0.05, 0.1)),
        "fit.batch_size": OneOf((16, 32, 64)),
    }


def typed(space: Space, recipe: Recipe) -> dict[str, Search]:
    """The space with ranges such as ``0..1`` made continuous where the recipe's setting is a float."""
    return {
        key: Between(float(where.low), float(where.high), where.log)
        if isinstance(where, Between) and isinstance(value_at(recipe, key), float)
        else where
        for key, where in space.items()
    }


def check_comparable(space: Space) -> None:
    """Raise ``UsageError`` if a searched setting changes what is measured instead of how the model is trained."""
    for key in space:
        if key.partition(".")[0] in FIXED:
            raise UsageError(f"search of {key}: this setting changes what is measured, so trials are not comparable")


def value_at(recipe: Recipe, key: str) -> Any:
    """The recipe's value of a dotted key; ``None`` if it has none."""
    value: Any = recipe.to_dict()
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def to_toml(table: Mapping[str, Any]) -> str:
    r"""A table of settings as TOML for :func:`facevalue.training.recipe.read`; ``None`` values are left out.

    >>> print(to_toml({"method": "scratch", "fit": {"epochs": 3}, "network": {"options": {"widths": [8, 16]}}}))
    method = "scratch"
    <BLANKLINE>
    [fit]
    epochs = 3
    <BLANKLINE>
    [network]
    options = {widths = [8, 16]}
    <BLANKLINE>
    """
    lines = [f"{_key(k)} = {_inline(v)}" for k, v in table.items() if v is not None and not isinstance(v, Mapping)]
    for name, part in table.items():
        if isinstance(part, Mapping):
            own = {k: _fraction(k, v, part) for k, v in part.items() if v is not None}
            lines += ["", f"[{_key(name)}]", *(f"{_key(k)} = {_inline(v)}" for k, v in own.items())]
    return "\n".join(lines) + "\n"


def _key(name: str) -> str:
    return name if name.replace("_", "").replace("-", "").isalnum() and name.isascii() else json.dumps(name)


def _fraction(key: str, value: Any, part: Mapping[str, Any]) -> Any:
    """An eps in whole 255ths as the fraction that it is."""
    text = eps_text(value, part.get("norm", "linf")) if key == "eps" and isinstance(value, float) else ""
    return text if "/" in text and number_in(text) == value else value


def _inline(value: Any) -> str:
    match value:
        case bool() | str():
            return json.dumps(value)  # a JSON string is a TOML basic string
        case float():
            return repr(value)
        case Mapping():
            return "{" + ", ".join(f"{_key(k)} = {_inline(v)}" for k, v in value.items() if v is not None) + "}"
        case list() | tuple():
            return "[" + ", ".join(_inline(v) for v in value) + "]"
    return str(value)
