"""Numbers as people type them."""

from __future__ import annotations

import math


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
