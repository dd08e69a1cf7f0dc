"""Stored directions of images that neighbours are looked for in, in few dimensions."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facevalue.models.novelty.base import LEAST, directions
from facevalue.models.wide import ROWS

OWN = 3000
"""Most stored images of the classes together. More are thinned out evenly."""


def projected(features: Tensor, through: Tensor) -> Tensor:
    """(n, r) directions of (n, d) features in the space of a projection.

    They are not made unit vectors again: what lies outside the space makes an image less like every stored one.
    """
    unit = directions(features)
    return unit @ through if through.numel() else unit


def stored(features: Tensor, through: Tensor, kept: NDArray[np.intp] | None = None) -> Tensor:
    """As :func:`projected`, of the features at the positions ``kept``: a few at a time, since all may be gigabytes."""
    places = torch.arange(len(features)) if kept is None else torch.from_numpy(kept)
    return torch.cat([projected(features[some].float(), through) for some in torch.split(places, ROWS)])


def thinned(labels: NDArray[np.int64], most: int) -> NDArray[np.intp]:
    """Positions of at most ``most`` images, drawn evenly from the classes; always the same draw."""
    if len(labels) <= most:
        return np.arange(len(labels))
    rng = np.random.default_rng(0)
    order = rng.permutation(len(labels))
    # The i-th image of every class comes before the (i + 1)-th of any.
    turn = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        members = order[labels[order] == label]
        turn[members] = np.arange(len(members))
    return np.sort(np.lexsort((labels, turn))[:most])


def distance(unit: Tensor, stored: Tensor, share: Tensor, of: Tensor | None = None) -> Tensor:
    """(n,) mean cosine distance to the nearest stored images.

    Parameters
    ----------
    unit : (n, r).
    stored : (m, r).
    share : (count,) weights of the ``count`` nearest, which add up to 1. A buffer, so that its length is fixed in the
        graph.
    of : (n, m) 1 for stored images that may be neighbours, else 0; by default all may.
    """
    likeness = unit @ stored.T
    if of is not None:
        likeness = likeness + 4 * (of - 1)  # below every cosine
    nearest = largest(likeness, share.shape[0])
    return (1 - nearest @ share).clamp_min(LEAST)


def largest(values: Tensor, count: int) -> Tensor:
    """(n, count) largest of each row of (n, m) values, in descending order; equal ones count singly, as in torch.topk.

    One maximum after the other, because LiteRT cannot sort; ``count`` is at least 1 and small.
    """
    places = torch.arange(values.shape[1], device=values.device)
    found = [values.amax(1)]
    for _ in range(count - 1):
        values = torch.where(places == values.argmax(1, keepdim=True), -torch.inf, values)
        found.append(values.amax(1))
    return torch.stack(found, 1)


def shares(count: int) -> Tensor:
    """(count,) equal weights."""
    return torch.full((count,), 1 / count)
