"""Temperature scaling: logits divided by one number."""

from __future__ import annotations

import math
from typing import ClassVar, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facevalue.models.calibration.base import CalibrationMethod, Floats, Ints, Parameters, shifted

TEMPERATURES = (0.05, 200.0)
"""Allowed range. A defensively distilled network needs its distillation temperature, 20 or more, with some margin."""

_STEPS, _LONGEST, _CLOSE = 100, 1.0, 1e-10
"""Most Newton steps; and the longest step, and the one that counts as none, in the logarithm."""


@final
class Temperature(CalibrationMethod):
    """The softmax of the tempered logits. The temperature itself is on the card and fitted before every method."""

    name: ClassVar[str] = "temperature"
    paper: ClassVar[str] = "Guo et al. 2017, arXiv:1706.04599"

    def fit(self, z: Floats, labels: Ints, weights: Floats) -> Parameters:
        return {}

    def log_probabilities(self, z: Tensor, parameters: Parameters) -> Tensor:
        return torch.log_softmax(z, dim=1)

    def probabilities(self, z: Tensor, parameters: Parameters) -> Tensor:
        return torch.softmax(z, dim=1)

    def levels(self, z: Tensor, parameters: Parameters, positive: int | None, threshold: float) -> Tensor:
        return shifted(z, positive, threshold)


def fit_temperature(logits: Tensor, labels: NDArray[np.int64], weights: NDArray[np.float64] | None = None) -> float:
    """The temperature with the highest likelihood on held-out images (Guo et al. 2017, arXiv:1706.04599).

    Newton's method on its logarithm. A standard normal prior on the logarithm, which weighs less than one image, keeps
    the temperature finite if every calibration image is classified correctly; otherwise its effect is negligible.

    Parameters
    ----------
    logits : (n, k) in eval mode, of images that were not used in training.
    labels : (n,) int.
    weights : (n,) of the images, above 0; 1 by default.
    """
    scores: Floats = logits.double().numpy()
    # How much less than the true class each class scores: its softmax needs no further shift where that wins.
    behind = scores - scores[np.arange(len(labels)), labels][:, None]
    weight = np.ones(len(labels)) if weights is None else weights
    log_t = 0.0
    value, slope, bend = _loss(behind, weight, log_t)
    for _ in range(_STEPS):
        # Downhill in any case: far from the optimum the loss may bend the other way.
        step = -slope / bend if bend > 0 else -math.copysign(_LONGEST, slope)
        step = min(max(step, -_LONGEST), _LONGEST)
        while True:
            there = _loss(behind, weight, log_t + step)
            if there[0] <= value or abs(step) < _CLOSE:
                break
            step /= 2
        if abs(step) < _CLOSE:
            break
        log_t, (value, slope, bend) = log_t + step, there
    return float(np.clip(math.exp(log_t), *TEMPERATURES))


def _loss(behind: Floats, weight: Floats, log_t: float) -> tuple[float, float, float]:
    """The loss at a logarithm of the temperature, and its first and second derivative by it."""
    b = math.exp(-log_t)
    scaled = b * behind
    top = scaled.max(1, keepdims=True)
    p = np.exp(scaled - top)
    total = p.sum(1, keepdims=True)
    p /= total
    mean = (p * behind).sum(1)
    spread = (p * behind**2).sum(1) - mean**2
    value = weight @ (top + np.log(total))[:, 0] + 0.5 * log_t**2
    by_b, by_b_twice = weight @ mean, weight @ spread
    return float(value), float(log_t - b * by_b), float(1 + b * by_b + b * b * by_b_twice)
