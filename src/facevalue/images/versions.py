"""The versions of a network input that a stable answer is made from: the input itself and cheap re-makings of it.

Each version is shrunk or enlarged by one filter and brought back to its size. So what lies near the scale of single
pixels, where programs that save images differ, is different in every version, and what the image shows is not. They are
made of the network input and not of the file, so they cost the same for every image.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facevalue.images.remaking import Resized
from facevalue.images.resize import FILTERS, resize

RESCALINGS = (
    Resized("box", 0.5),
    Resized("bilinear", 0.35),
    Resized("bicubic", 1.25),
    Resized("bilinear", 0.75),
    Resized("nearest", 0.8),
    Resized("lanczos", 0.6),
)
"""What is done to the second version, the third and so on; then all are brought back by ``bicubic``."""

MOST = 1 + len(RESCALINGS)
"""Most versions of a network input."""


def version_of(pixels: NDArray[np.uint8], number: int) -> NDArray[np.uint8]:
    """One version of a network input (s, s, 3) uint8 RGB; number 0 is the input itself.

    >>> version_of(np.full((32, 32, 3), 7, np.uint8), 2).max()
    np.uint8(7)
    """
    if number == 0:
        return pixels
    image = Image.fromarray(pixels)
    scaled = RESCALINGS[number - 1].apply(image)
    return np.asarray(resize(scaled, image.size, FILTERS["bicubic"]))


def versions_of(pixels: NDArray[np.uint8], number: int) -> NDArray[np.uint8]:
    """(n, s, s, 3): one version of each of n network inputs."""
    return pixels if number == 0 else np.stack([version_of(one, number) for one in pixels])
