"""Parse and format numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_LEVELS = 255
_MOST_DIGITS = 4


def number_in(text: str) -> float:
    """Parse a finite decimal number or a fraction of two.

    >>> number_in("4 / 255") == 4 / 255, number_in("0.01")
    (True, 0.01)

    Raises
    ------
    ValueError
        The text is neither, or divides by zero.
    """
    above, slash, below = text.partition("/")
    divisor = float(below) if slash else 1.0
    value = float(above) / divisor if divisor else math.nan
    if not math.isfinite(value):
        raise ValueError(f"{text!r} is not a finite number")
    return value


def percent(rate: float | None, digits: int = 1) -> str:
    """A rate in [0, 1] as a percentage; a dash for ``None``.

    A rate below 1 is never shown as 100 %, and one above 0 never as 0 %: it gets more digits, at most four.

    >>> percent(0.9495), percent(0.99996), percent(1.0), percent(None)
    ('95.0 %', '99.996 %', '100.0 %', '-')
    >>> percent(0.00004), percent(1e-9), percent(1 - 1e-9)
    ('0.004 %', '< 0.0001 %', '> 99.9999 %')
    """
    if rate is None or not math.isfinite(rate):
        return "-"
    text = f"{100 * rate:.{digits}f}"
    all_or_nothing = (rate < 1 and float(text) == 100) or (rate != 0 and float(text) == 0)
    if all_or_nothing and digits < _MOST_DIGITS:
        return percent(rate, digits + 1)
    if all_or_nothing:
        text = "> 99.9999" if rate > 0.5 else "< 0.0001" if rate > 0 else "> -0.0001"
    return f"{text} %"


def interval(ends: Sequence[float] | None) -> str:
    """A 95 % interval of a rate; a dash for ``None``.

    >>> interval((0.923, 0.966)), interval(None)
    ('92.3 to 96.6 %', '-')
    """
    return "-" if ends is None else f"{percent(ends[0]).removesuffix(' %')} to {percent(ends[1])}"


def eps_text(eps: float, norm: str = "linf") -> str:
    """An eps as text: in 255ths for the norm ``linf`` if that is a whole number, else as a decimal.

    >>> eps_text(8 / 255), eps_text(0.01), eps_text(0.0)
    ('8/255', '0.01', '0')
    >>> eps_text(0.2), eps_text(0.2, "l2")
    ('51/255', '0.2')
    """
    levels = eps * _LEVELS
    whole = norm == "linf" and abs(levels - round(levels)) < 1e-6 and 0 < round(levels) < _LEVELS
    return f"{round(levels)}/{_LEVELS}" if whole else f"{eps:.4g}"


def titled(name: str, settings: DataclassInstance) -> str:
    """A name with the fields of a dataclass that differ from their defaults: ``pgd(steps=50)``."""
    changed = [(f.name, getattr(settings, f.name)) for f in fields(settings) if getattr(settings, f.name) != f.default]
    return name + (f"({', '.join(f'{key}={value!r}' for key, value in changed)})" if changed else "")
