"""Facts of images that need no network: what the drift alarm watches beside a model's scores."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, JpegImagePlugin

from facevalue.data import jpeg_tables

_JPEG = b"\xff\xd8\xff"


def detail(pixels: NDArray[np.uint8]) -> float:
    """How much fine structure a network input (s, s, 3) has: the median of its diagonal differences, 0 to 510.

    Of each block of 2 x 2 pixels, the green channel's ``|a - b - c + d|``: the highest frequency both ways. Blur and
    compression lower it, noise raises it. Half is added, so that the smallest value is above 0.

    >>> detail(np.full((4, 4, 3), 7, np.uint8))
    0.5
    """
    side = len(pixels) // 2 * 2
    green = pixels[:side, :side, 1].astype(np.int16)
    differences = green[::2, ::2] - green[::2, 1::2] - green[1::2, ::2] + green[1::2, 1::2]
    # The mean of the middle third is a median that is not a whole number.
    ordered = np.sort(np.abs(differences), axis=None)
    third = len(ordered) // 3
    return float(ordered[third : len(ordered) - third].mean()) + 0.5


def jpeg_quality(data: bytes) -> int:
    """The quality, 1 to 100, that a JPEG file was saved with, by its tables; 0 for all other files."""
    if not data.startswith(_JPEG):
        return 0
    try:
        with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
            assert isinstance(image, JpegImagePlugin.JpegImageFile)
            return jpeg_tables.quality(image.quantization)
    except Exception:  # a damaged header can raise nearly anything; the decoder says what is wrong with the file
        return 0
