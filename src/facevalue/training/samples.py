"""A split as the training loop reads it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from facevalue.data.pictures import Pictures
from facevalue.training.subjects import Subjects, find

KEPT_BYTES = 4 * 2**30
"""Decoded training pictures are kept in memory up to this size, and on disk above it as far as there is room."""


@dataclass(frozen=True)
class Sample:
    """A split as the loop reads it: pictures, and their squares where they fit into memory.

    ``subjects`` says where their subjects are, if training is to know.
    """

    pictures: Pictures
    squares: NDArray[np.uint8] | None
    subjects: Subjects | None = None

    def batches(self, order: NDArray[np.int64], size: int) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int64]]]:
        """Squares (b, s, s, 3) and labels (b,) in this order."""
        if self.squares is None:
            yield from self.pictures.take(order).batches(size)
            return
        for start in range(0, len(order), size):
            part = order[start : start + size]
            yield self.squares[part], self.pictures.labels[part]


def sample(pictures: Pictures) -> Sample:
    """Decode into memory where it fits, else to disk."""
    side = pictures.geometry.size
    if len(pictures) * side * side * 3 <= KEPT_BYTES:
        return Sample(pictures, pictures.squares())
    return Sample(pictures.cached(), None)


def with_subjects(sample: Sample) -> Sample:
    """The same, with the subject of every picture found."""
    squares = (batch for batch, _ in sample.batches(np.arange(len(sample.pictures)), 64))
    return replace(sample, subjects=find(squares, len(sample.pictures)))
