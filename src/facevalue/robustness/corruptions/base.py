"""What a corruption is, and how it is done to an image.

Damage happens to files, not to networks' network inputs: it is done to the upright image as it was decoded, and the
network's preprocessing comes after it.
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
    unit : of a strength, for tables and plots.
    strengths : from mild to severe.
    change : ``(image, strength, generator) -> image``, RGB to RGB; a new one.
    """

    name: str
    unit: str
    strengths: tuple[float, ...]
    change: Change


def corrupted(image: Image.Image, corruption: Corruption, strength: float, seed: int = 0) -> Image.Image:
    """An image with this corruption. What is random follows from the seed and from the image itself.

    So the order of the images, and which others there are, make no difference.
    """
    rng = np.random.default_rng((seed, zlib.crc32(image.tobytes())))
    return corruption.change(image, strength, rng)
