"""Distance to the nearest source that a model learned from."""

from __future__ import annotations

from typing import ClassVar, Self, final

import torch
from torch import Tensor

from facevalue.models.novelty.base import KnownImages, NoveltyScore, SourceImages, positive
from facevalue.models.source_space import Moments, Space

NEXT = 0.3
"""Weight of the lead of the nearest source over the next one."""


@final
class SourceDistance(NoveltyScore):
    """Squared distance to the nearest source, less a share of how much farther the next one is.

    Distances are in Fisher's discriminants of the sources, in units of the deviation within sources, for each
    discriminant. An image of an unknown source is often between several known ones, so the lead of the nearest counts.

    The buffers ``unit``, ``basis``, ``within``, ``means`` and ``counts`` are not used in the graph: they are what
    ``adapt`` needs to add a source without the training images.
    """

    name: ClassVar[str] = "sources"
    paper: ClassVar[str] = "Lee et al. 2018, arXiv:1807.03888, with sources for classes; Fisher 1936"

    centre: Tensor
    projection: Tensor
    spots: Tensor
    unit: Tensor
    basis: Tensor
    within: Tensor
    means: Tensor
    counts: Tensor

    @classmethod
    def fitted(cls, known: KnownImages) -> Self:
        sources = SourceImages.of(known.features, known.labels) if known.sources is None else known.sources
        present = sorted(set(sources.numbers.tolist()))
        order = {number: i for i, number in enumerate(present)}
        moments = Moments.of(sources.z, sources.renumbered(order), len(present))
        return cls.of(sources.space, moments)

    @classmethod
    def of(cls, space: Space, moments: Moments) -> Self:
        """The score of these sources."""
        through, spots = moments.discriminant()
        projection = (space.basis.double() @ through) / space.unit.double()[:, None]
        return cls(
            {
                "centre": space.centre,
                "projection": projection.float(),
                "spots": spots.float(),
                "unit": space.unit,
                "basis": space.basis,
                "within": moments.within.float(),
                "means": moments.means.float(),
                "counts": moments.counts.float(),
            }
        )

    @property
    def space(self) -> Space:
        """The space that the sources lie in."""
        return Space(self.centre, self.unit, self.basis)

    @property
    def moments(self) -> Moments:
        """What is kept of the sources."""
        return Moments(self.counts.double(), self.means.double(), self.within.double())

    def distances(self, features: Tensor) -> Tensor:
        """(n, s) squared distances to each source, for each discriminant."""
        at = (features - self.centre) @ self.projection
        return (at.unsqueeze(1) - self.spots).square().sum(2) / self.spots.shape[1]

    def forward(self, features: Tensor, logits: Tensor, decided: Tensor) -> Tensor:
        nearest = torch.topk(self.distances(features), 2, dim=1, largest=False).values
        return positive((1 + NEXT) * nearest[:, 0] - NEXT * nearest[:, 1])
