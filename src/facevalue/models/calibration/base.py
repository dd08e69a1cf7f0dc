"""The base class of calibration methods: from a network's logits to probabilities, fitted on held-out images."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Parameters = Mapping[str, tuple[float, ...]]
"""Parameters of a fitted method, by name, as they are on the card."""

SMALLEST = 1e-12
"""Probabilities are at least this in a logarithm."""


class CalibrationMethod(ABC):
    """How tempered logits become probabilities. A subclass implements :meth:`fit` and :meth:`log_probabilities`.

    Every method starts from ``z``: logits (n, k) divided by the card's temperature. So a program that knows only the
    temperature still has nearly calibrated probabilities.

    Attributes
    ----------
    name : its key in :data:`facevalue.models.calibration.METHODS`, and on the card.
    paper : its publication.
    two_classes : whether it is defined for two classes only.
    """

    name: ClassVar[str]
    paper: ClassVar[str]
    two_classes: ClassVar[bool] = False

    @abstractmethod
    def fit(self, z: Floats, labels: Ints, weights: Floats) -> Parameters:
        """Parameters for :meth:`probabilities`.

        Parameters
        ----------
        z : (n, k) tempered logits of images that were not used in training.
        labels : (n,) true classes.
        weights : (n,) of the images in the fit, above 0; their sum is the number of different images.
        """

    @abstractmethod
    def log_probabilities(self, z: Tensor, parameters: Parameters) -> Tensor:
        """(n, k) logarithms of the probabilities, from tempered logits (n, k); recorded in the exported graph."""

    def probabilities(self, z: Tensor, parameters: Parameters) -> Tensor:
        """(n, k) probabilities from tempered logits (n, k); rows sum to 1."""
        return self.log_probabilities(z, parameters).exp()

    @abstractmethod
    def levels(self, z: Tensor, parameters: Parameters, positive: int | None, threshold: float) -> Tensor:
        """(n, k) scores that are linear in ``z`` and largest for the predicted class: an attack's margins.

        Parameters
        ----------
        positive, threshold : with two classes, ``positive`` is predicted if its probability is at least ``threshold``.
        """


class LogOddsMap(CalibrationMethod):
    """A method for two classes that maps the log odds of the second class to its probability, never downwards.

    A subclass implements :meth:`fitted` and :meth:`second`. Images keep their order, so AUROC does not change unless
    the map is flat somewhere.
    """

    two_classes: ClassVar[bool] = True

    @abstractmethod
    def fitted(self, odds: Floats, second: Floats, weights: Floats) -> Parameters:
        """Parameters from log odds (n,), truth (n,) as 0 or 1 for the second class, and weights (n,)."""

    @abstractmethod
    def second(self, odds: Tensor, parameters: Parameters) -> Tensor:
        """(n,) probability of the second class from its log odds (n,); it never falls."""

    @final
    def fit(self, z: Floats, labels: Ints, weights: Floats) -> Parameters:
        return self.fitted(z[:, 1] - z[:, 0], (labels == 1).astype(np.float64), weights)

    @final
    def probabilities(self, z: Tensor, parameters: Parameters) -> Tensor:
        second = self.second(z[:, 1] - z[:, 0], parameters)
        return torch.stack([1 - second, second], dim=1)

    @final
    def log_probabilities(self, z: Tensor, parameters: Parameters) -> Tensor:
        return self.probabilities(z, parameters).clamp_min(SMALLEST).log()

    @final
    def levels(self, z: Tensor, parameters: Parameters, positive: int | None, threshold: float) -> Tensor:
        wanted = threshold if positive == 1 else 1 - threshold
        shift = torch.zeros(2, dtype=z.dtype, device=z.device)
        shift[1] = -self.odds_of(wanted, parameters)
        return z + shift

    @final
    def odds_of(self, probability: float, parameters: Parameters) -> float:
        """The smallest log odds, in [-64, 64], from which the probability of the second class is at least this."""
        low, high = -64.0, 64.0
        while high - low > 1e-9:
            middle = (low + high) / 2
            value = float(self.second(torch.tensor([middle], dtype=torch.float64), parameters))
            low, high = (low, middle) if value >= probability else (middle, high)
        return high


def shifted(scores: Tensor, positive: int | None, threshold: float) -> Tensor:
    """(n, k) logits whose largest is the predicted class: the positive class's is lowered by its threshold's log odds.

    >>> shifted(torch.tensor([[0.0, 1.0]]), 1, 0.5)
    tensor([[0., 1.]])
    """
    if positive is None:
        return scores
    shift = torch.zeros(scores.shape[1], dtype=scores.dtype, device=scores.device)
    shift[positive] = -torch.logit(torch.tensor(threshold, dtype=torch.float64), eps=SMALLEST)
    return scores + shift
