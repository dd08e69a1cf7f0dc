"""A split as the training loop reads it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from facevalue.data.dataset import ImageDataset
from facevalue.training.foreground import ForegroundMasks, find

KEPT_BYTES = 4 * 2**30
"""Decoded training images are kept in memory up to this size, and on disk above it as far as there is room."""


@dataclass(frozen=True)
class Sample:
    """A split as the loop reads it: images, and their network inputs where they fit into memory.

    ``subjects`` says where their foreground is, if training is to know.
    """

    dataset: ImageDataset
    pixels: NDArray[np.uint8] | None
    masks: ForegroundMasks | None = None

    def batches(self, order: NDArray[np.int64], size: int) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int64]]]:
        """Network inputs (b, s, s, 3) and labels (b,) in this order."""
        if self.pixels is None:
            yield from self.dataset.take(order).batches(size)
            return
        for start in range(0, len(order), size):
            part = order[start : start + size]
            yield self.pixels[part], self.dataset.labels[part]


def sample(dataset: ImageDataset) -> Sample:
    """Decode into memory where it fits, else to disk."""
    side = dataset.preprocessing.size
    if len(dataset) * side * side * 3 <= KEPT_BYTES:
        return Sample(dataset, dataset.pixels())
    return Sample(dataset.cached(), None)


def with_masks(sample: Sample) -> Sample:
    """The same, with the foreground of every image found."""
    pixels = (batch for batch, _ in sample.batches(np.arange(len(sample.dataset)), 64))
    return replace(sample, masks=find(pixels, len(sample.dataset)))
