"""Venn-Abers prediction: isotonic regression with the new image as a member of either class."""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np
from torch import Tensor

from facevalue.models.calibration.base import Floats, LogOddsMap, Parameters
from facevalue.models.calibration.piecewise import KNOTS, in_cells, piecewise_linear, thinned


@final
class VennAbers(LogOddsMap):
    """The inductive Venn-Abers predictor, at up to :data:`KNOTS` log odds; linear in between.

    Isotonic regression is fitted twice for a new image: with it as one of the first class, which gives p0, and of the
    second, which gives p1. The probability is p1 / (1 - p0 + p1), which has the least regret of log loss. It is never
    0 or 1.
    """

    name: ClassVar[str] = "venn-abers"
    paper: ClassVar[str] = "Vovk, Petej & Fedorova 2015, arXiv:1511.00213"

    def fitted(self, odds: Floats, second: Floats, weights: Floats) -> Parameters:
        from sklearn.isotonic import isotonic_regression

        at, share, weight = in_cells(odds, second, weights)
        places = np.unique(np.linspace(0, len(at) - 1, min(KNOTS, len(at))).round().astype(int))
        values = []
        for place in places:
            bound = []
            for truth in (0.0, 1.0):
                # The new image is at a cell that has images already: their mean, with the weight of one more.
                more = weight.copy()
                more[place] += 1
                mean = share.copy()
                mean[place] = (share[place] * weight[place] + truth) / more[place]
                bound.append(float(isotonic_regression(mean, sample_weight=more)[place]))
            values.append(bound[1] / (1 - bound[0] + bound[1]))
        knots, probabilities = thinned(at[places], np.array(values), weight[places])
        return {"log_odds": knots, "probability": probabilities}

    def second(self, odds: Tensor, parameters: Parameters) -> Tensor:
        return piecewise_linear(odds, parameters["log_odds"], parameters["probability"])
