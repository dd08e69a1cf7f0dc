"""A piecewise-linear function that every inference engine computes the same."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from facevalue.models.calibration.base import Floats

STEP = 0.02
"""Knots are at least this far apart, in log odds.

Logits of two engines differ by about 1e-5. A step of a map would turn that into another probability; over ``STEP`` a
rise of 0.1 turns it into 5e-5, which is within the tolerance of exports.
"""

KNOTS = 128
"""Most knots of a map: its size on the card and in the graph."""


def piecewise_linear(x: Tensor, knots: tuple[float, ...], values: tuple[float, ...]) -> Tensor:
    """(n,) linear interpolation between ``knots`` in ascending order, constant outside them.

    Only differences, clamps and a product: no search, which exports less well.

    >>> piecewise_linear(torch.tensor([-1.0, 0.5, 9.0]), (0.0, 1.0), (0.2, 0.6))
    tensor([0.2000, 0.4000, 0.6000])
    """
    at, value = (torch.tensor(numbers, dtype=x.dtype, device=x.device) for numbers in (knots, values))
    if len(knots) == 1:
        return torch.zeros_like(x) + value[0]
    part = ((x.unsqueeze(1) - at[:-1]) / (at[1:] - at[:-1])).clamp(0, 1)
    return value[0] + part @ (value[1:] - value[:-1])


def in_cells(odds: Floats, second: Floats, weights: Floats) -> tuple[Floats, Floats, Floats]:
    """Images joined to cells that are at least :data:`STEP` wide.

    Parameters
    ----------
    odds, second, weights : (n,) log odds, truth as 0 or 1, and weight of each image.

    Returns
    -------
    (m,) mean log odds of each cell in ascending order, its share of the second class, and its weight.
    """
    _, cell = np.unique(np.floor(odds / STEP), return_inverse=True)
    weight = np.bincount(cell, weights).astype(np.float64)
    return np.bincount(cell, weights * odds) / weight, np.bincount(cell, weights * second) / weight, weight


def thinned(at: Floats, value: Floats, weight: Floats) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """At most :data:`KNOTS` knots at least :data:`STEP` apart, and their values, which do not fall.

    Knots that are too near, or too light, are joined with their neighbours to their weighted mean.
    """
    share = weight.sum() / KNOTS
    joined: list[list[float]] = []
    for x, y, w in zip(at, value, weight, strict=True):
        if joined and (x - joined[-1][0] < STEP or (len(at) > KNOTS and joined[-1][2] < share)):
            before = joined[-1]
            total = before[2] + w
            joined[-1] = [(before[0] * before[2] + x * w) / total, (before[1] * before[2] + y * w) / total, total]
        else:
            joined.append([x, y, w])
    knots = tuple(round(float(x), 6) for x, _, _ in joined)
    # Sums round: the values must not fall by a last digit.
    values = tuple(round(float(y), 8) for y in np.maximum.accumulate([y for _, y, _ in joined]))
    return knots, values
