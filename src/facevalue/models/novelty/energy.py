"""The energy of the logits."""

from __future__ import annotations

from typing import ClassVar, Self, final

from torch import Tensor

from facevalue.models.novelty.base import KnownImages, NoveltyScore, evidence, positive


@final
class Energy(NoveltyScore):
    """How little the logits speak for any class: the negative logarithm of their summed exponentials."""

    name: ClassVar[str] = "energy"
    paper: ClassVar[str] = "Liu et al. 2020, arXiv:2010.03759"

    @classmethod
    def fitted(cls, known: KnownImages) -> Self:  # noqa: ARG003 - it needs none
        return cls({})

    def forward(self, features: Tensor, logits: Tensor, decided: Tensor) -> Tensor:
        return positive(-evidence(logits))
