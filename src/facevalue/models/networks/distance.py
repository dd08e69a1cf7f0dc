"""The distance of features from those of the training data."""

from __future__ import annotations

from torch import Tensor

RANK = 64
"""Largest number of directions that have their own standard deviation."""


def squared_distance(features: Tensor, means: Tensor, basis: Tensor, scale: Tensor, rest: Tensor) -> Tensor:
    """(n,) squared Mahalanobis distance (Lee et al. 2018, arXiv:1807.03888) to the nearest class, divided by d.

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
