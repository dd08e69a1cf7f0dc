"""A linear classifier that tells strangers from training images."""

from __future__ import annotations

from typing import ClassVar, Self, final

import numpy as np
import torch
from torch import Tensor

from facevalue.models.novelty.base import KnownImages, NoveltyScore, directions, positive
from facevalue.models.wide import to_directions
from facevalue.support.machine import large_array

STRENGTH = 0.01
"""scikit-learn's ``C``, for directions scaled to a mean deviation of 1."""


@final
class Exposure(NoveltyScore):
    """Logit of a logistic regression of strangers against training images; without strangers 1 for every image."""

    name: ClassVar[str] = "exposure"
    paper: ClassVar[str] = "Hendrycks et al. 2019, arXiv:1812.04606"
    learns_strangers: ClassVar[bool] = True

    weight: Tensor
    bias: Tensor

    @classmethod
    def fitted(cls, known: KnownImages) -> Self:
        d = known.features.shape[1]
        if not len(known.strangers):
            return cls({"weight": torch.zeros(d), "bias": torch.tensor(0.0)})
        from sklearn.linear_model import LogisticRegression

        n, m = len(known.features), len(known.strangers)
        x = torch.from_numpy(large_array((n + m, d), np.float64))
        x[:n], x[n:] = known.features, known.strangers
        scale = float(to_directions(x)[:n].std(0, correction=0).mean()) + 1e-12
        x /= scale
        model = LogisticRegression(C=STRENGTH, max_iter=1000, class_weight="balanced")
        model.fit(x.numpy(), np.repeat([0, 1], [n, m]))
        weight = torch.from_numpy(model.coef_[0] / scale)
        return cls({"weight": weight.float(), "bias": torch.tensor(float(model.intercept_[0]))})

    def forward(self, features: Tensor, logits: Tensor, decided: Tensor) -> Tensor:
        return positive(directions(features) @ self.weight + self.bias)
