"""Neighbours of the predicted class against neighbours among strangers."""

from __future__ import annotations

from typing import ClassVar, Self, final

import torch
from torch import Tensor, nn

from facevalue.models.novelty import bank
from facevalue.models.novelty.base import KnownImages, NoveltyScore, of_decided

NEIGHBOURS, STRANGERS = 5, 3
"""Nearest images that count: of the predicted class, and of the strangers."""

WEIGHT = 0.7
"""Power of the distance to strangers. Between 0.3 and 1 it matters little."""


@final
class Contrast(NoveltyScore):
    """Distance to training images of the predicted class, divided by a power of the distance to strangers.

    An image is familiar if it is like training images of the very class that the model predicts, and less like any
    stranger. The first part refuses people whom the model takes for objects; the second refuses pages, drawings and
    textures, which lie between the classes.
    """

    name: ClassVar[str] = "contrast"
    paper: ClassVar[str] = "Sun et al. 2022, arXiv:2204.06507; Jiang et al. 2018, arXiv:1805.11783"
    learns_strangers: ClassVar[bool] = True

    projection: Tensor
    own: Tensor
    of_class: Tensor
    strangers: Tensor
    own_share: Tensor
    strangers_share: Tensor

    @classmethod
    def fitted(cls, known: KnownImages) -> Self:
        through = known.projection
        kept = bank.thinned(known.labels, bank.OWN)
        labels = torch.from_numpy(known.labels[kept])
        of_class = nn.functional.one_hot(labels, known.classes).T.float()
        return cls(
            {
                "projection": through,
                "own": bank.stored(known.features, through, kept),
                "of_class": of_class.contiguous(),
                "strangers": bank.stored(known.strangers, through),
                "own_share": bank.shares(max(1, min(NEIGHBOURS, int(of_class.sum(1).min())))),
                "strangers_share": bank.shares(max(1, min(STRANGERS, len(known.strangers)))),
            }
        )

    def forward(self, features: Tensor, logits: Tensor, decided: Tensor) -> Tensor:
        unit = bank.projected(features, self.projection)
        near = bank.distance(unit, self.own, self.own_share, of_decided(self.of_class, decided))
        if not self.strangers.shape[0]:
            return near
        return near / bank.distance(unit, self.strangers, self.strangers_share) ** WEIGHT
