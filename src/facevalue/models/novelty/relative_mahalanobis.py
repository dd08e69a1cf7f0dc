"""Mahalanobis distance to the nearest class, relative to that to all training images."""

from __future__ import annotations

from typing import ClassVar, Self, final

import numpy as np
from torch import Tensor

from facevalue.models.novelty.base import KnownImages, NoveltyScore, positive
from facevalue.models.novelty.mahalanobis import fit, squared_distance


@final
class RelativeMahalanobis(NoveltyScore):
    """Squared distance to the nearest class minus that to one Gaussian of all training images."""

    name: ClassVar[str] = "relative-mahalanobis"
    paper: ClassVar[str] = "Ren et al. 2021, arXiv:2106.09022"

    means: Tensor
    basis: Tensor
    scale: Tensor
    rest: Tensor
    all_means: Tensor
    all_basis: Tensor
    all_scale: Tensor
    all_rest: Tensor

    @classmethod
    def fitted(cls, known: KnownImages) -> Self:
        whole = fit(known.features, np.zeros(len(known.labels), np.int64), 1)
        own = fit(known.features, known.labels, known.classes)
        return cls({**own, **{f"all_{name}": values for name, values in whole.items()}})

    def forward(self, features: Tensor, logits: Tensor, decided: Tensor) -> Tensor:
        near = squared_distance(features, self.means, self.basis, self.scale, self.rest)
        whole = squared_distance(features, self.all_means, self.all_basis, self.all_scale, self.all_rest)
        return positive(near - whole)
