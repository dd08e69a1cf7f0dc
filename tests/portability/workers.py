"""What the processes of test_spawn.py do. Each imports this file, and shares nothing with the one that starts it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facevalue.images.input_cache import InputCache, cached
from facevalue.images.preprocessing import Preprocessing

SIDE = 16


def inputs(n: int = 60) -> tuple[list[str], NDArray[np.uint8]]:
    """Names and network inputs, the same in every process."""
    pixels = np.random.default_rng(0).integers(0, 256, (n, SIDE, SIDE, 3), dtype=np.uint8)
    return [hashlib.sha256(image.tobytes()).hexdigest() for image in pixels], pixels


def make_and_read(folder: Path) -> bool:
    """Make the cache, or find what another process has made meanwhile; whether all in it is right."""
    names, pixels = inputs()
    found = cached(names, Preprocessing(size=SIDE), pixels.__getitem__, folder, 10**7)
    return found is not None and read(found)


def read(cache: InputCache) -> bool:
    """Whether a cache that another process has opened holds what it should."""
    names, pixels = inputs()
    found = [cache.get(name) for name in names]
    return all(
        image is not None and np.array_equal(image, expected) for image, expected in zip(found, pixels, strict=True)
    )


def holds_nothing(cache: InputCache) -> bool:
    """Whether a cache that was removed is empty, not wrong."""
    return all(cache.get(name) is None for name in inputs()[0])


def label_of(model: Path, image: Path) -> str:
    """A prediction in a process of its own."""
    import facevalue as fv

    (prediction,) = fv.open(model).predict(image)
    return prediction.leaning or prediction.label or ""
