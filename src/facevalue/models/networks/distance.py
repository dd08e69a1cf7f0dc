"""How far features are from those of the training data."""

from __future__ import annotations

from torch import Tensor

RANK = 64
"""Directions of the spread within classes that have a deviation of their own, at most."""


def squared_distance(features: Tensor, means: Tensor, basis: Tensor, scale: Tensor, rest: Tensor) -> Tensor:
    """(n,) squared Mahalanobis distance (Lee et al. 2018, arXiv:1807.03888) to the nearest class, divided by d.

    The spread is probabilistic PCA's (Tipping & Bishop 1999): the leading directions each have their own deviation, all
    others share one.

    Parameters
    ----------
    features : (n, d).
    means : (k, d) of the classes.
    basis : (d, r) leading directions of the spread within classes, orthonormal.
    scale : (r,) standard deviations along them.
    rest : () standard deviation along every other direction.
    """
    away = features.unsqueeze(1) - means  # (n, k, d)
    along = away @ basis  # (n, k, r)
    # Not |away|^2 - |along|^2: what is left is tiny where training images hardly leave the leading directions, and
    # the difference of two large float32 sums would be noise, another in every engine.
    other = away - along @ basis.T
    squared = (along / scale).square().sum(2) + (other / rest).square().sum(2)
    return squared.amin(1) / features.shape[1]
