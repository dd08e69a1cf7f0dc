"""Numbers as people type and read them."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_LEVELS = 255


def number_in(text: str) -> float:
    """A finite decimal, or a fraction of two.

    >>> number_in("4 / 255") == 4 / 255, number_in("0.01")
    (True, 0.01)

    Raises
    ------
    ValueError
        It is neither, or divides by zero.
    """
    above, slash, below = text.partition("/")
    divisor = float(below) if slash else 1.0
    value = float(above) / divisor if divisor else math.nan
    if not math.isfinite(value):
        raise ValueError(f"{text!r} is no finite number")
    return value


def eps_text(eps: float) -> str:
    """How people write an eps: as grey levels where it is a whole number of them.

    >>> eps_text(8 / 255), eps_text(0.01), eps_text(0.0)
    ('8/255', '0.01', '0')
    """
    levels = eps * _LEVELS
    whole = abs(levels - round(levels)) < 1e-6 and 0 < round(levels) < _LEVELS
    return f"{round(levels)}/{_LEVELS}" if whole else f"{eps:.4g}"


def titled(name: str, settings: DataclassInstance) -> str:
    """A name with the fields of a dataclass that differ from their defaults: ``pgd(steps=50)``."""
    changed = [(f.name, getattr(settings, f.name)) for f in fields(settings) if getattr(settings, f.name) != f.default]
    return name + (f"({', '.join(f'{key}={value!r}' for key, value in changed)})" if changed else "")
