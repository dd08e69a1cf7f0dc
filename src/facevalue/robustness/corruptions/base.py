"""The record of a corruption, and its application to an image.

Corruptions happen to files, not to network inputs: they are applied to the decoded, upright image, before the
network's preprocessing.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

Change = Callable[[Image.Image, float, np.random.Generator], Image.Image]


@dataclass(frozen=True)
class Corruption:
    """One kind of corruption at several strengths, after Hendrycks & Dietterich 2019, arXiv:1903.12261.

    Attributes
    ----------
    name : its key in :data:`facevalue.robustness.corruptions.CORRUPTIONS`.
    unit : unit of the strengths, for tables and plots.
    strengths : from mild to severe.
    change : ``(image, strength, generator) -> image``; takes RGB and returns a new RGB image.
    """

    name: str
    unit: str
    strengths: tuple[float, ...]
    change: Change


def corrupted(image: Image.Image, corruption: Corruption, strength: float, seed: int = 0) -> Image.Image:
    """The corrupted image.

    Randomness depends only on the seed and the image, not on the other images or their order.
    """
    rng = np.random.default_rng((seed, zlib.crc32(image.tobytes())))
    return corruption.change(image, strength, rng)
