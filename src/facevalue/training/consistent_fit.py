"""Ridge regression that also penalises differences between features for changing the scores, in little memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

BLOCK = 512
"""Features that are taken at once."""


@dataclass(frozen=True)
class Differences:
    """Differences between features that should not change the scores.

    Attributes
    ----------
    features : (…, d), one row per difference.
    weight : of the squared score of each row in the loss, relative to the squared error of one image.
    """

    features: Tensor
    weight: float

    @classmethod
    def between_quarters(cls, quarters: Tensor, weight: float) -> Differences:
        """Differences of each image's quarters (n, 4, d) from their mean; ``weight`` is for the four together."""
        return cls(quarters - quarters.mean(1, keepdim=True), weight / 4)

    def __len__(self) -> int:
        return self.features.shape[:-1].numel()


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of the regression: images less their weighted mean, times the root of their weight; then differences.

    There may be four times as many rows as images, with tens of thousands of features, so they are never all in memory
    in the coordinates of the fit: they are made a block of features at a time.

    Attributes
    ----------
    x : (n, d) float32 features of images.
    roots : (n,) square roots of the images' weights.
    middle : (d,) weighted mean of the images.
    unit : (d,) what features are divided by.
    differences : further rows.
    """

    x: Tensor
    roots: Floats
    middle: Floats
    unit: Floats
    differences: Sequence[Differences]

    @classmethod
    def of(cls, x: Tensor, weights: Floats, unit: Floats, differences: Sequence[Differences]) -> Self:
        """The rows for features and the weights (n,) of images; ``unit`` may be one number."""
        middle = np.concatenate([(weights / weights.sum()) @ x[:, part].double().numpy() for part in _parts(x)])
        return cls(x, np.sqrt(weights), middle, np.broadcast_to(unit, middle.shape), differences)

    def __len__(self) -> int:
        return len(self.x) + sum(map(len, self.differences))

    def blocks(self) -> Iterator[tuple[slice, Singles]]:
        """(m, b) values of a block of features, of all rows."""
        for part in _parts(self.x):
            yield part, self.block(part)

    def block(self, part: slice) -> Singles:
        """(m, b) values of these features, of all rows."""
        values = np.empty((len(self), self.x[:1, part].shape[1]), np.float32)
        end = len(self.x)
        values[:end] = self.roots[:, None] * ((self.x[:, part].double().numpy() - self.middle[part]) / self.unit[part])
        for one in self.differences:
            start, end = end, end + len(one)
            rows = one.features[..., part].reshape(len(one), -1).double().numpy()
            values[start:end] = np.sqrt(one.weight) / self.unit[part] * rows
        return values


@dataclass(eq=False)
class Solver:
    """The regression for any strength of the penalty.

    With more features than rows it is solved for one number per row (the kernel form), else for one per feature. The
    products of rows or of features are computed once.
    """

    rows: Rows
    goals: Singles
    products: Singles
    by_row: bool

    @classmethod
    def of(cls, rows: Rows, targets: Floats) -> Self:
        """For centred targets (n, k) of the images; those of differences are 0.

        Single precision, as the features have.
        """
        m, d = len(rows), rows.x.shape[1]
        goals = np.zeros((m, targets.shape[1]), np.float32)
        goals[: len(targets)] = rows.roots[:, None] * targets
        if m <= d:
            return cls(rows, goals, _row_products(rows), True)
        whole = np.concatenate([block for _, block in rows.blocks()], axis=1)
        return cls(rows, whole.T @ goals, whole.T @ whole, False)

    def weight(self, alpha: float) -> Floats:
        """(k, d) weights in the coordinates of the fit; ``alpha`` is the penalty of their squares."""
        from scipy.linalg import cho_factor, cho_solve

        regular = self.products.copy(order="F")
        regular[np.diag_indices_from(regular)] += np.float32(alpha)
        factor = cho_factor(regular, lower=True, overwrite_a=True, check_finite=False)
        found = cho_solve(factor, self.goals, check_finite=False)
        if not self.by_row:
            return np.asarray(found.T, np.float64)
        return np.concatenate([found.T @ block for _, block in self.rows.blocks()], axis=1).astype(np.float64)


def _row_products(rows: Rows) -> Singles:
    """(m, m) products of all pairs of rows; only the lower half is filled."""
    from scipy.linalg.blas import ssyrk

    found: Singles = np.zeros((len(rows), len(rows)), np.float32, order="F")
    for _, block in rows.blocks():
        found = ssyrk(1.0, block, beta=1.0, c=found, lower=1, overwrite_c=1)
    return found


def _parts(x: Tensor) -> Iterator[slice]:
    """Blocks of the features of x (n, d)."""
    return (slice(start, min(start + BLOCK, x.shape[1])) for start in range(0, x.shape[1], BLOCK))
