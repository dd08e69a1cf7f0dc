"""Isotonic regression: the best map that never falls."""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np
from torch import Tensor

from facevalue.models.calibration.base import Floats, LogOddsMap, Parameters
from facevalue.models.calibration.piecewise import in_cells, piecewise_linear, thinned


@final
class Isotonic(LogOddsMap):
    """Centred isotonic regression: the blocks of isotonic regression at their mean log odds, linear in between.

    Plain isotonic regression has steps, at which two engines would give different probabilities, and flat parts, which
    lose the order of images. A block of images of one class gets a probability of at least 1 / (n + 2).
    """

    name: ClassVar[str] = "isotonic"
    paper: ClassVar[str] = "Zadrozny & Elkan 2002, KDD; Oron & Flournoy 2017, arXiv:1701.05964"

    def fitted(self, odds: Floats, second: Floats, weights: Floats) -> Parameters:
        from sklearn.isotonic import isotonic_regression

        at, share, weight = in_cells(odds, second, weights)
        level = isotonic_regression(share, sample_weight=weight)
        _, block = np.unique(level, return_inverse=True)
        total = np.bincount(block, weight).astype(np.float64)
        least = 1 / (weights.sum() + 2)
        value = np.clip(np.bincount(block, weight * level) / total, least, 1 - least)
        knots, values = thinned(np.bincount(block, weight * at) / total, value, total)
        return {"log_odds": knots, "probability": values}

    def second(self, odds: Tensor, parameters: Parameters) -> Tensor:
        return piecewise_linear(odds, parameters["log_odds"], parameters["probability"])
