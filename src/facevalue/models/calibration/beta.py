"""Beta calibration: the log odds of two beta distributions."""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np
import torch
from torch import Tensor

from facevalue.models.calibration.base import Floats, LogOddsMap, Parameters


@final
class Beta(LogOddsMap):
    """Log odds ``a ln p - b ln(1 - p) + c`` of the tempered probability p, with a and b at least 0.

    Unlike a temperature, it can be more or less certain of one class than of the other.
    """

    name: ClassVar[str] = "beta"
    paper: ClassVar[str] = "Kull, Silva Filho & Flach 2017, AISTATS"

    def fitted(self, odds: Floats, second: Floats, weights: Floats) -> Parameters:
        """L-BFGS-B. A normal prior around the identity, which weighs as one image, keeps the parameters finite."""
        from scipy.optimize import minimize

        # ln p and -ln(1 - p) of the second class: without rounding where p is nearly 0 or 1.
        inputs = np.stack([-np.logaddexp(0, -odds), np.logaddexp(0, odds), np.ones_like(odds)], axis=1)
        start = np.array([1.0, 1.0, 0.0])

        def loss(parameters: Floats) -> tuple[float, Floats]:
            new = inputs @ parameters
            value = weights @ (np.logaddexp(0, new) - second * new) + 0.5 * np.square(parameters - start).sum()
            slope = inputs.T @ (weights * (1 / (1 + np.exp(-np.clip(new, -500, 500))) - second)) + parameters - start
            return value / weights.sum(), slope / weights.sum()

        bounds = [(0, None), (0, None), (None, None)]
        found = minimize(
            loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-14, "gtol": 1e-10}
        )
        a, b, c = found.x.tolist()
        return {"a": (a,), "b": (b,), "c": (c,)}

    def second(self, odds: Tensor, parameters: Parameters) -> Tensor:
        (a,), (b,), (c,) = (parameters[name] for name in "abc")
        softplus = torch.nn.functional.softplus
        return torch.sigmoid(b * softplus(odds) - a * softplus(-odds) + c)
