"""Virtual-logit matching: what of the features lies outside the training images' space, against the logits."""

from __future__ import annotations

from typing import ClassVar, Self, final

import torch
from torch import Tensor

from facevalue.models.eigen import principal
from facevalue.models.novelty.base import KnownImages, NoveltyScore, evidence, positive
from facevalue.models.wide import ROWS, double_copy

DIRECTIONS = 256
"""Most directions of the training images' space; at most half of all."""


@final
class ViM(NoveltyScore):
    """Length of the residual outside the principal space, scaled to the logits, minus their evidence.

    The origin is the mean of the training images, not the point at which all logits are equal: with two classes most
    directions leave the logits unchanged.
    """

    name: ClassVar[str] = "vim"
    paper: ClassVar[str] = "Wang et al. 2022, arXiv:2203.10807"

    origin: Tensor
    basis: Tensor
    alpha: Tensor

    @classmethod
    def fitted(cls, known: KnownImages) -> Self:
        away = double_copy(known.features)
        origin = away.mean(0)
        away -= origin
        _, basis = principal(away, max(1, min(DIRECTIONS, away.shape[1] // 2)))
        mean = torch.cat([_residual(part, basis) for part in torch.split(away, ROWS)]).mean().clamp_min(1e-12)
        alpha = known.logits.double().amax(1).mean() / mean
        return cls({"origin": origin.float(), "basis": basis.contiguous().float(), "alpha": alpha.float()})

    def forward(self, features: Tensor, logits: Tensor, decided: Tensor) -> Tensor:
        return positive(self.alpha * _residual(features - self.origin, self.basis) - evidence(logits))


def _residual(away: Tensor, basis: Tensor) -> Tensor:
    rest = away - away @ basis @ basis.T
    return (rest.square().sum(1) + 1e-12).sqrt()
