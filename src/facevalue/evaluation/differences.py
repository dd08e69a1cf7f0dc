"""Figures of two evaluations of the same images that differ by more than rounding."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from facevalue.evidence.outputs import ImageOutputs

TOLERANCE = 1e-3
"""Largest difference of a rate, a probability or an error that counts as the same: processors round differently."""

NOVELTY_TOLERANCE = 1e-2
"""As a share of the novelty, which sums squares and so has fewer exact digits."""

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


def output_differences(kept: ImageOutputs, now: ImageOutputs) -> list[str]:
    """A line for each kind of output in which images differ; the images are matched by their hash.

    Probabilities may differ by :data:`TOLERANCE`, novelty by :data:`NOVELTY_TOLERANCE` of its size, and reasons that
    depend on limits of their own in one image of a hundred.
    """
    n = len(kept.y)
    if sorted(kept.hashes) != sorted(now.hashes):
        return [f"the {n} images with stored outputs are not those that were evaluated now"]
    old, new = np.argsort(kept.hashes, kind="stable"), np.argsort(now.hashes, kind="stable")
    far = np.abs(kept.p[old] - now.p[new]).max(axis=1)
    scale = np.maximum(1.0, np.abs(kept.novelty[old]))
    away = np.abs(kept.novelty[old] - now.novelty[new]) / scale
    counts = {
        "another label": int((kept.y[old] != now.y[new]).sum()),
        f"another probability (by up to {far.max(initial=0):.2g})": int((~(far <= TOLERANCE)).sum()),
        f"another novelty (by up to {away.max(initial=0):.2g} of it)": int((~(away <= NOVELTY_TOLERANCE)).sum()),
    }
    for reason in sorted({*kept.unsure, *now.unsure}):
        none = np.zeros(n, bool)
        changed = int((kept.unsure.get(reason, none)[old] != now.unsure.get(reason, none)[new]).sum())
        counts[f"another {reason}"] = changed if changed > n / 100 else 0
    return [f"{count} of {n} images have {what} now" for what, count in counts.items() if count]


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
