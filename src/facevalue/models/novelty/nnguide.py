"""Evidence for a class, guided by the nearest training images."""

from __future__ import annotations

from typing import ClassVar, Self, final

from torch import Tensor

from facevalue.models.novelty import bank
from facevalue.models.novelty.base import KnownImages, NoveltyScore, evidence, positive

NEIGHBOURS = 10


@final
class NNGuide(NoveltyScore):
    """Evidence in the logits, times the mean of the nearest training images' cosines weighted with their evidence."""

    name: ClassVar[str] = "nnguide"
    paper: ClassVar[str] = "Park et al. 2023, arXiv:2309.14888"

    projection: Tensor
    own: Tensor
    share: Tensor

    @classmethod
    def fitted(cls, known: KnownImages) -> Self:
        through = known.projection
        kept = bank.thinned(known.labels, bank.OWN)
        own = bank.stored(known.features, through, kept) * evidence(known.logits[kept].float())[:, None]
        return cls({"projection": through, "own": own, "share": bank.shares(min(NEIGHBOURS, len(kept)))})

    def forward(self, features: Tensor, logits: Tensor, decided: Tensor) -> Tensor:
        likeness = bank.projected(features, self.projection) @ self.own.T
        guidance = bank.largest(likeness, self.share.shape[0]) @ self.share
        return positive(-guidance * evidence(logits))
