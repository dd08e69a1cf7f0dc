"""Distance to the nearest training images."""

from __future__ import annotations

from typing import ClassVar, Self, final

from torch import Tensor

from facevalue.models.novelty import bank
from facevalue.models.novelty.base import KnownImages, NoveltyScore

NEIGHBOURS = 5


@final
class Neighbours(NoveltyScore):
    """Mean cosine distance to the five nearest training images of any class."""

    name: ClassVar[str] = "neighbours"
    paper: ClassVar[str] = "Sun et al. 2022, arXiv:2204.06507"

    projection: Tensor
    own: Tensor
    share: Tensor

    @classmethod
    def fitted(cls, known: KnownImages) -> Self:
        through = known.projection
        kept = bank.thinned(known.labels, bank.OWN)
        own = bank.stored(known.features, through, kept)
        return cls({"projection": through, "own": own, "share": bank.shares(min(NEIGHBOURS, len(kept)))})

    def forward(self, features: Tensor, logits: Tensor, decided: Tensor) -> Tensor:
        return bank.distance(bank.projected(features, self.projection), self.own, self.share)
