"""The base class of novelty scores: how unlike its training images an image is, computed inside the graph."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Self, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from facevalue.models.eigen import principal
from facevalue.models.source_space import Space
from facevalue.models.wide import double_copy, to_directions

LEAST = 1e-3
"""Smallest distance between two directions: nearer ones count as equal, since engines round differently below it."""


DIRECTIONS = 128
"""Most dimensions of a stored image."""

NUMBERS = 2**18
"""Most numbers in a projection, which therefore has fewer dimensions where features are very many; at least 64."""


@dataclass(frozen=True, eq=False)
class SourceImages:
    """The source of each training image, and its coordinates.

    Attributes
    ----------
    space : that the sources are compared in.
    z : (n, r) coordinates of the images in it.
    numbers : (n,) number of each image's source.
    """

    space: Space
    z: Tensor
    numbers: NDArray[np.int64]

    @classmethod
    def of(cls, features: Tensor, numbers: NDArray[np.int64]) -> SourceImages:
        """Of (n, d) features."""
        space = Space.of(features)
        return cls(space, space.inside(features), numbers)

    def rows(self, chosen: NDArray[np.bool_]) -> SourceImages:
        """Some of the images, in the same space, which needs no labels."""
        return replace(self, z=self.z[torch.from_numpy(chosen)], numbers=self.numbers[chosen])

    def renumbered(self, order: Mapping[int, int]) -> NDArray[np.int64]:
        """(n,) the new number of each image's source."""
        return np.array([order[number] for number in self.numbers.tolist()], np.int64)


@dataclass(frozen=True, eq=False)
class KnownImages:
    """What a score is fitted to: features of training images, and of strangers.

    Attributes
    ----------
    features : (n, d) of images of the classes.
    logits : (n, k) of the same images, before the temperature.
    labels : (n,) int.
    strangers : (m, d) features of images that must be refused; m may be 0.
    projection : (d, r) directions that hold most of the images of the classes; (0, 0) where d is small already.
    sources : where the images of the classes are from, if that is known.
    """

    features: Tensor
    logits: Tensor
    labels: NDArray[np.int64]
    strangers: Tensor
    projection: Tensor
    sources: SourceImages | None = None

    @classmethod
    def of(cls, features: Tensor, logits: Tensor, labels: NDArray[np.int64], strangers: Tensor) -> KnownImages:
        """With the projection of these images. Parts of them share it: it is expensive, and needs no labels."""
        return cls(features, logits, labels, strangers, projection_of(features))

    @property
    def classes(self) -> int:
        """Number of classes."""
        return self.logits.shape[1]

    def rows(self, chosen: NDArray[np.bool_]) -> KnownImages:
        """The same strangers, and these training images."""
        mask = torch.from_numpy(chosen)
        return replace(
            self,
            features=self.features[mask],
            logits=self.logits[mask],
            labels=self.labels[chosen],
            sources=None if self.sources is None else self.sources.rows(chosen),
        )

    def against(self, strangers: Tensor) -> KnownImages:
        """The same training images, and other strangers."""
        return replace(self, strangers=strangers)


def projection_of(features: Tensor) -> Tensor:
    """(d, r) orthonormal principal directions of the directions of (n, d) features; (0, 0) where r would be d."""
    d = features.shape[1]
    rank = min(DIRECTIONS, max(64, NUMBERS // d))
    if d <= rank:
        return torch.zeros(0, 0)
    return principal(to_directions(double_copy(features)), rank)[1].contiguous().float()


class NoveltyScore(nn.Module, ABC):
    """A fitted score; its buffers are all that it knows.

    A subclass implements :meth:`fitted` and :meth:`forward`, from products, sums and maxima only, so that every engine
    can run it; LiteRT cannot sort. Scores are at least 0, higher for images that are less like the training images, and
    have no unit: the limit on the card makes them comparable.

    Attributes
    ----------
    name : key in :data:`facevalue.models.novelty.SCORES`.
    paper : the publication that describes it.
    learns_strangers : whether its buffers depend on strangers.
    """

    name: ClassVar[str]
    paper: ClassVar[str]
    learns_strangers: ClassVar[bool] = False

    @final
    def __init__(self, buffers: Mapping[str, Tensor]) -> None:
        super().__init__()
        for name, values in buffers.items():
            self.register_buffer(name, values.detach().clone())

    @classmethod
    @abstractmethod
    def fitted(cls, known: KnownImages) -> Self:
        """The score of these training images."""

    @abstractmethod
    def forward(self, features: Tensor, logits: Tensor, decided: Tensor) -> Tensor:
        """(n,) scores.

        Parameters
        ----------
        features : (n, d).
        logits : (n, k), before the temperature.
        decided : (n,) int64, the predicted class.
        """

    @final
    @property
    def shapes(self) -> dict[str, list[int]]:
        """The shape of every buffer, by name."""
        return {name: list(values.shape) for name, values in self.named_buffers()}

    @final
    @classmethod
    def of_shapes(cls, shapes: Mapping[str, list[int]]) -> Self:
        """A score whose buffers are still to be loaded."""
        return cls({name: torch.zeros(shape) for name, shape in shapes.items()})


def directions(features: Tensor) -> Tensor:
    """(n, d) features divided by their lengths; a zero row stays zero."""
    return features / (features.square().sum(1, keepdim=True) + 1e-12).sqrt()


def of_decided(members: Tensor, decided: Tensor) -> Tensor:
    """(n, m) rows of (k, m) members at the (n,) decided classes.

    Not with ``one_hot``, which looks at the values: a graph that is captured for LiteRT cannot.
    """
    classes = torch.arange(members.shape[0], device=decided.device)
    return (decided[:, None] == classes).to(members.dtype) @ members


def evidence(logits: Tensor) -> Tensor:
    """(n,) logarithm of the summed exponentials of (n, k) logits: low for an image that speaks for no class."""
    return torch.logsumexp(logits, dim=1)


def positive(score: Tensor) -> Tensor:
    """Any score as one above 0 in the same order: ``1 + score``, and ``1 / (1 - score)`` below 0.

    An exponential would round to 0 for familiar images, and a limit of 0 has no multiples.
    """
    return torch.where(score > 0, 1 + score, 1 / (1 - score.clamp_max(0)))
