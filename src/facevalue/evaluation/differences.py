"""Figures of two evaluations of the same images that differ by more than rounding."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

TOLERANCE = 1e-3
"""Largest difference of a rate, a probability or an error that counts as the same: processors round differently."""

_NOT_FIGURES = ("provenance", "warnings", "slices", "unreadable", "split", "classes", "reliability")


def differences(kept: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """A line for each figure that differs by more than :data:`TOLERANCE`.

    >>> differences({"accuracy": 0.98, "ece": 0.01}, {"accuracy": 0.95, "ece": 0.01})
    ['accuracy is 0.95 now, 0.98 on the card']
    """
    return [
        f"{name} is {_short(new)} now, {_short(old)} on the card"
        for name, old, new in _pairs(kept, now)
        if not _same(old, new)
    ]


def _pairs(kept: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for name, old in kept.items():
        if name in _NOT_FIGURES or (old is None and now.get(name) is None):
            continue
        new = now.get(name)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from ((f"{name}.{key}", old.get(key), new.get(key)) for key in {**old, **new})
        else:
            yield name, old, new


def _same(old: Any, new: Any) -> bool:
    if isinstance(old, int | float) and isinstance(new, int | float):
        return math.isclose(old, new, rel_tol=0, abs_tol=TOLERANCE)
    if isinstance(old, list | tuple) and isinstance(new, list | tuple):
        return len(old) == len(new) and all(map(_same, old, new))
    return bool(old == new)


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
