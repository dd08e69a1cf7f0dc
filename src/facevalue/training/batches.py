"""The batches of one epoch of training, in random order, shared out over processes."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from facevalue.data.dataset import ImageDataset

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Batch:
    """A batch of this process.

    Attributes
    ----------
    pixels : (n, s, s, 3) uint8 network inputs.
    labels : (n,).
    indices : (n,) positions in the dataset.
    step : (m,) labels of the images that all processes together learn from in this step, m >= n.
    processes : their number.
    """

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]
    indices: NDArray[np.int64]
    step: NDArray[np.int64]
    processes: int = 1


def shuffled(
    train: ImageDataset, size: int, seed: tuple[int, int], process: int = 0, processes: int = 1
) -> Iterator[Batch]:
    """The batches of one epoch for one of several processes that take their steps together.

    All processes draw the same order. A step takes ``size`` images for each process; the last one shares out what is
    left, and is skipped if that gives a process fewer than two, because batch norm needs two.

    Parameters
    ----------
    size : of a batch of one process.
    seed : the order depends on nothing else.
    """
    order = np.random.default_rng(seed).permutation(len(train))
    steps = [order[start : start + size * processes] for start in range(0, len(order), size * processes)]
    if len(steps) > 1 and len(steps[-1]) < 2 * processes:
        steps.pop()
    parts = [np.array_split(step, processes)[process] for step in steps]
    if processes == 1:  # read ahead over the ends of batches
        batches = train.batches(size, np.concatenate(parts))
    else:
        batches = (next(train.batches(len(part), part)) for part in parts)
    for (pixels, labels), part, step in zip(batches, parts, steps, strict=True):
        yield Batch(pixels, labels, part, train.labels[step], processes)


def one_ahead(items: Iterator[T]) -> Iterator[T]:
    """The items, each next one made by a thread while the last is used."""
    nothing = object()
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, items, nothing)
        while (item := coming.result()) is not nothing:
            coming = pool.submit(next, items, nothing)
            yield item  # type: ignore[misc]
