"""The error among answered images against the share of images answered."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

POINTS = 60
"""Most points of a curve on the card."""


def risks(confidence: NDArray[np.floating], wrong: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(n,) error among the 1, 2, …, n most confident answers; among equally confident ones, the mean of all orders.

    >>> risks(np.array([0.9, 0.8, 0.8]), np.array([False, True, False])).round(3).tolist()
    [0.0, 0.25, 0.333]
    """
    _, rank, size = np.unique(-confidence, return_inverse=True, return_counts=True)
    share = np.bincount(rank, wrong) / size
    order = np.argsort(rank, kind="stable")
    errors: NDArray[np.float64] = np.cumsum(share[rank[order]]) / np.arange(1, len(order) + 1)
    return errors


def aurc(confidence: NDArray[np.floating], wrong: NDArray[np.bool_]) -> float:
    """Area under the risk-coverage curve: the mean of :func:`risks` (Geifman & El-Yaniv 2017, arXiv:1705.08500)."""
    return float(risks(confidence, wrong).mean())


def e_aurc(confidence: NDArray[np.floating], wrong: NDArray[np.bool_]) -> float:
    """The area above that of the best order, in which all wrong answers come last (Geifman et al. 2019, 1805.08206)."""
    n, k = len(wrong), int(wrong.sum())
    best = sum((i - (n - k)) / i for i in range(n - k + 1, n + 1)) / n
    return max(0.0, aurc(confidence, wrong) - best)


def curve(confidence: NDArray[np.floating], wrong: NDArray[np.bool_]) -> tuple[tuple[float, float], ...]:
    """At most :data:`POINTS` points of coverage and error, both in (0, 1], with the last at full coverage."""
    n = len(wrong)
    error = risks(confidence, wrong)
    places = np.unique(np.linspace(0, n - 1, min(n, POINTS)).round().astype(int))
    return tuple((round((i + 1) / n, 6), round(float(error[i]), 6)) for i in places.tolist())
