"""Distance to the nearest source that a model learned from."""

from __future__ import annotations

from typing import ClassVar, Self, final

import torch
from torch import Tensor, nn

from facevalue.models.novelty.bank import largest
from facevalue.models.novelty.base import KnownImages, NoveltyScore, SourceImages, of_decided, positive
from facevalue.models.source_space import Moments, Space

FAR = 1e6
"""Added to the distances of sources of other classes."""

NEXT = 0.3
"""Weight of the lead of the nearest source over the next one."""

MOST = 15.0
"""Largest lead that counts: where sources are far apart, a longer one says nothing of an image."""


@final
class SourceDistance(NoveltyScore):
    """Squared distance to the nearest source of the predicted class, less a share of its lead over the next source.

    Distances are in Fisher's discriminants of the sources, in units of the deviation within sources, for each
    discriminant. An image of an unknown source is often between several known ones, so the lead counts: it is negative
    where a source of another class is nearer. So an image that looks like a known camera's is not called generated.

    The buffers ``unit``, ``basis``, ``within``, ``means`` and ``counts`` are not used in the graph: they are what
    ``adapt`` needs to add a source without the training images.
    """

    name: ClassVar[str] = "sources"
    paper: ClassVar[str] = "Lee et al. 2018, arXiv:1807.03888, with sources for classes; Fisher 1936"

    centre: Tensor
    projection: Tensor
    spots: Tensor
    of_class: Tensor
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
        labels = torch.empty(len(present), dtype=torch.int64)
        labels[torch.tensor(sources.renumbered(order))] = torch.from_numpy(known.labels)
        return cls.of(sources.space, moments, nn.functional.one_hot(labels, known.classes).T.float())

    @classmethod
    def of(cls, space: Space, moments: Moments, of_class: Tensor) -> Self:
        """The score of these sources; ``of_class`` (k, s) is 1 for the sources of each class, else 0."""
        through, spots = moments.discriminant()
        projection = (space.basis.double() @ through) / space.unit.double()[:, None]
        return cls(
            {
                "centre": space.centre,
                "projection": projection.float(),
                "spots": spots.float(),
                "of_class": of_class.contiguous(),
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
        distances = self.distances(features)
        nearest = -largest(-distances, 2)
        predicted = of_decided(self.of_class, decided)
        own = (distances + FAR * (1 - predicted)).amin(1)
        next_one = torch.where(own <= nearest[:, 0], nearest[:, 1], nearest[:, 0])
        return positive(own - NEXT * (next_one - own).clamp_max(MOST))
