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

    L-BFGS on its logarithm. A standard normal prior on the logarithm, which weighs less than one image, keeps the
    temperature finite if every calibration image is classified correctly; otherwise its effect is negligible.

    Parameters
    ----------
    logits : (n, k) in eval mode, of images that were not used in training.
    labels : (n,) int.
    weights : (n,) of the images, above 0; 1 by default.
    """
    scores, truth = logits.double(), torch.from_numpy(labels)
    weight = torch.ones(len(labels), dtype=torch.float64) if weights is None else torch.from_numpy(weights)
    log_t = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([log_t], lr=0.5, max_iter=200, tolerance_grad=1e-9, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        fit = torch.nn.functional.cross_entropy(scores / log_t.exp(), truth, reduction="none") @ weight
        loss = (fit + 0.5 * log_t.square()) / weight.sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    return float(np.clip(math.exp(log_t.item()), *TEMPERATURES))
