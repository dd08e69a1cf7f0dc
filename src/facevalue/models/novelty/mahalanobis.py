"""Mahalanobis distance to the nearest class."""

from __future__ import annotations

import math
from typing import ClassVar, Self, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facevalue.models.eigen import principal
from facevalue.models.novelty.base import KnownImages, NoveltyScore
from facevalue.models.wide import ROWS, double_copy

RANK = 64
"""Largest number of directions that have their own standard deviation."""


@final
class Mahalanobis(NoveltyScore):
    """Distance from the nearest class mean, in units of the spread within classes; about 1 for training images."""

    name: ClassVar[str] = "mahalanobis"
    paper: ClassVar[str] = "Lee et al. 2018, arXiv:1807.03888; Tipping & Bishop 1999"

    means: Tensor
    basis: Tensor
    scale: Tensor
    rest: Tensor

    @classmethod
    def unfitted(cls, classes: int, features: int) -> Self:
        """One that gives nearly 0 for every image."""
        rank = min(features, RANK)
        return cls(
            {
                "means": torch.zeros(classes, features),
                "basis": torch.zeros(features, rank),
                "scale": torch.ones(rank),
                "rest": torch.tensor(float("inf")),
            }
        )

    @classmethod
    def fitted(cls, known: KnownImages) -> Self:
        return cls(fit(known.features, known.labels, known.classes))

    def forward(self, features: Tensor, logits: Tensor, decided: Tensor) -> Tensor:
        squared = squared_distance(features, self.means, self.basis, self.scale, self.rest)
        # The gradient of the root is infinite at 0; times a zero weight it would be NaN for attacks on ensembles.
        return squared.clamp_min(1e-12).sqrt()


def fit(features: Tensor, labels: NDArray[np.int64], classes: int) -> dict[str, Tensor]:
    """The arguments of :func:`squared_distance`, fitted to training images.

    Parameters
    ----------
    features : (n, d) float.
    labels : (n,) int.
    """
    n, d = features.shape
    y = torch.from_numpy(labels)
    spread = double_copy(features)
    sums = torch.zeros(classes, d, dtype=torch.float64).index_add_(0, y, spread)
    means = sums / torch.bincount(y, minlength=classes)[:, None]
    for part, own in zip(torch.split(spread, ROWS), torch.split(y, ROWS), strict=True):
        part.sub_(means[own]).div_(math.sqrt(max(1, n - classes)))
    rank = min(d, RANK)
    values, vectors = principal(spread, rank)
    total = torch.linalg.vector_norm(spread).square()
    # The mean of the remaining variances (Tipping & Bishop 1999); the floor bounds the weight of constant features.
    rest = ((total - values.sum()) / (d - rank)).clamp_min(0) if d > rank else values[-1]
    floor = 1e-6 * total / d + 1e-12
    return {
        "means": means.float(),
        "basis": vectors.contiguous().float(),
        "scale": values.clamp_min(max(rest, floor)).sqrt().float(),
        "rest": rest.clamp_min(floor).sqrt().float(),
    }


def squared_distance(features: Tensor, means: Tensor, basis: Tensor, scale: Tensor, rest: Tensor) -> Tensor:
    """(n,) squared Mahalanobis distance to the nearest class, divided by d.

    The covariance is that of probabilistic PCA (Tipping & Bishop 1999): each leading direction has its own standard
    deviation, all other directions share one.

    Parameters
    ----------
    features : (n, d).
    means : (k, d) of the classes.
    basis : (d, r) leading directions of the within-class spread, orthonormal.
    scale : (r,) standard deviations along them.
    rest : () standard deviation along every other direction.
    """
    away = features.unsqueeze(1) - means  # (n, k, d)
    along = away @ basis  # (n, k, r)
    # Not |away|^2 - |along|^2: the remainder can be tiny, and the difference of two large float32 sums would then be
    # rounding noise that differs between engines.
    other = away - along @ basis.T
    squared = (along / scale).square().sum(2) + (other / rest).square().sum(2)
    return squared.amin(1) / features.shape[1]
