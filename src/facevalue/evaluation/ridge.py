"""Ridge regression in closed form: one Gram matrix, and every way to leave images out of the fit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

STRENGTHS = (0.01, 0.1, 1.0, 10.0)
"""Inverse penalties to choose from, relative to the mean squared length of the features."""


_COLUMNS = 4096


@dataclass(frozen=True, eq=False)
class Gram:
    """Inner products (n, n) of the standardised features of n images, divided by their mean squared length."""

    products: Floats

    @classmethod
    def of(cls, features: NDArray[np.floating]) -> Gram:
        """The matrix of features (n, d), each divided by its own deviation. No label is used."""
        n, d = features.shape
        floor = 1e-6 * float(features.var(axis=0, dtype=np.float64).mean()) + 1e-24
        products = np.zeros((n, n))
        for start in range(0, d, _COLUMNS):  # texture has tens of thousands of columns
            x = features[:, start : start + _COLUMNS].astype(np.float64)
            x -= x.mean(axis=0)
            x /= np.sqrt(np.square(x).mean(axis=0) + floor)  # a constant feature must not be scaled up
            products += x @ x.T
        return cls(products / max(1e-12, float(np.trace(products)) / n))

    def part(self, places: Ints) -> Gram:
        """The matrix of some of the images."""
        return Gram(self.products[np.ix_(places, places)])

    def heads(self, goals: Floats, weights: Floats, strength: float) -> Heads:
        """Ridge regressions with intercept, onto every column of ``goals``.

        Solved in the dual form (Saunders, Gammerman & Vovk 1998), so one factorisation serves all columns.

        Parameters
        ----------
        goals : (n, t) targets.
        weights : (n,) of the squared errors, above 0; their scale does not count.
        strength : inverse penalty.
        """
        from scipy.linalg import cho_factor, cho_solve

        n, share = len(weights), weights / weights.sum()
        row = share @ self.products
        centred = self.products - row[None, :] - row[:, None] + float(row @ share)
        penalised = centred + np.diag(1 / (strength * n * share))
        factor = cho_factor(penalised, lower=True, overwrite_a=True, check_finite=False)
        hat = cho_solve(factor, centred, check_finite=False).T
        hat = hat - (hat.sum(axis=1) - 1)[:, None] * share[None, :]  # the intercept
        return Heads(hat, goals, goals - hat @ goals)


@dataclass(frozen=True, eq=False)
class Heads:
    """Fitted ridge regressions.

    Attributes
    ----------
    hat : (n, n) matrix that makes fitted values of targets.
    goals, residuals : (n, t) targets, and their distance from the fitted values.
    """

    hat: Floats
    goals: Floats
    residuals: Floats

    def without(self, places: Ints) -> Floats:
        """Scores (b, t) of b images, by regressions that were fitted without these images.

        Exact, without a new fit: the residuals of the images that are left out are ``(I - H)^-1`` times the fitted
        ones, with the block of the hat matrix (the PRESS identity, Allen 1974, Technometrics 16:125, for several rows).
        """
        block = np.eye(len(places)) - self.hat[np.ix_(places, places)]
        found: Floats = self.goals[places] - np.linalg.solve(block, self.residuals[places])
        return found
