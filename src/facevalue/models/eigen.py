"""Eigenvalues and principal directions that do not fail and do not take d x d memory where images are few."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def eigh(a: Tensor) -> tuple[Tensor, Tensor]:
    """(n,) eigenvalues of a symmetric matrix (n, n) in ascending order, and (n, n) eigenvectors as columns.

    Divide and conquer; if that does not converge (it can fail with many nearly equal eigenvalues), the slower QR
    algorithm, so that the training run is not lost.
    """
    try:
        values, vectors = torch.linalg.eigh(a)
    except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
        from scipy import linalg

        values, vectors = (torch.from_numpy(part) for part in linalg.eigh(a.numpy(), driver="ev"))
    return values, vectors


def principal(x: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """(rank,) largest eigenvalues of ``x.T @ x`` for x (n, d), in descending order, and (d, rank) eigenvectors.

    If there are fewer than ``rank`` directions, the others get eigenvalue 0 and a zero vector, and belong to the rest
    of the space.
    """
    n, d = x.shape
    if d <= n:
        values, vectors = eigh(x.T @ x)
        return values.flip(0)[:rank].clamp_min(0), vectors.flip(1)[:, :rank]
    # The same from n x n products: d x d ones take minutes and gigabytes with thousands of features.
    values, left = eigh(x @ x.T)
    values, left = values.flip(0)[:rank], left.flip(1)[:, :rank]
    sure = values > 1e-9 * values[0]  # smaller ones have directions from rounding only
    found = x.T @ (left * torch.where(sure, values, 1).rsqrt() * sure)
    pad = rank - len(values)
    return nn.functional.pad(values * sure, (0, pad)), nn.functional.pad(found, (0, pad))
