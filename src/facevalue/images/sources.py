"""Images as callers pass them: a path, the bytes of a file, a Pillow image, or an array."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeGuard, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facevalue.errors import UsageError
from facevalue.images import decoding

ImageInput = str | os.PathLike[str] | bytes | Image.Image | NDArray[np.uint8]
"""One image: a path, the bytes of an image file, a Pillow image, or a uint8 array (h, w, 3) RGB or (h, w) grey."""

Images = ImageInput | Iterable[ImageInput]
"""One image or many. An array (n, h, w, 3) or (n, h, w) is n images."""


def is_one(images: Images) -> TypeGuard[ImageInput]:
    """Whether this is one image and not several.

    >>> is_one("a.png"), is_one(["a.png"]), is_one(np.zeros((8, 8, 3), np.uint8)), is_one(np.zeros((5, 8, 8), np.uint8))
    (True, False, True, False)
    """
    if isinstance(images, np.ndarray):
        if images.dtype.kind in "UO":  # an array of paths, or of images of several sizes
            return False
        # Up to four values in the last axis are channels; more are the width of grey images.
        return images.ndim < 3 or (images.ndim == 3 and images.shape[2] <= 4)
    return isinstance(images, str | os.PathLike | bytes | bytearray | memoryview | Image.Image)


def each(images: Images) -> Iterator[ImageInput]:
    """The images one by one.

    Raises
    ------
    UsageError
        ``images`` is neither an image nor an iterable.
    """
    if is_one(images):
        yield images
    elif isinstance(images, Mapping) or hasattr(images, "columns"):
        raise UsageError(f"Expected images, but got a {type(images).__name__}; give its column of paths")
    elif isinstance(images, Iterable):
        yield from cast("Iterable[ImageInput]", images)
    else:
        raise UsageError(f"Expected an image or an iterable of images, but got {type(images).__name__}")


def name_of(image: ImageInput) -> str | None:
    """The path of an image that is given as a path; ``None`` for other images."""
    return os.fspath(image) if isinstance(image, str | os.PathLike) else None


def checked_array(array: NDArray[np.generic]) -> NDArray[np.uint8]:
    """(h, w, 3) uint8 RGB from an array (h, w, 3), (h, w) or (h, w, 1).

    Raises
    ------
    UsageError
        The array has another shape or type, or no pixels.
    """
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    grey, colour = array.ndim == 2, array.ndim == 3 and array.shape[2] == 3
    if array.dtype != np.uint8 or not (grey or colour) or 0 in array.shape:
        raise UsageError(
            f"Expected an image as a uint8 array (height, width, 3) RGB or (height, width) grey, "
            f"but got {array.dtype} {array.shape}"
        )
    pixels = array.astype(np.uint8, copy=False)
    return np.repeat(pixels[..., None], 3, axis=2) if grey else pixels


def upright(image: ImageInput, max_pixels: int | None = None) -> Image.Image:
    """An image in any of these forms as upright 8-bit RGB.

    Parameters
    ----------
    max_pixels : limit that is checked before a file is decoded; :func:`facevalue.images.decoding.pixel_limit` by
        default.

    Raises
    ------
    ImageError
        A file cannot be read, or is not an image.
    UsageError
        The object is not an image.
    """
    if isinstance(image, np.ndarray):
        return Image.fromarray(checked_array(image))
    if isinstance(image, Image.Image):
        return decoding.upright_rgb(image)
    return decoding.decode(encoded(image), max_pixels)


def encoded(image: str | os.PathLike[str] | bytes) -> bytes:
    """The bytes of an image file, given as its path or its bytes.

    Raises
    ------
    ImageError
        The file cannot be read.
    UsageError
        ``image`` is neither a path nor bytes.
    """
    if isinstance(image, bytes | bytearray | memoryview):
        return bytes(image)
    if isinstance(image, str | os.PathLike):
        return decoding.read_bytes(Path(image))
    raise UsageError(
        f"Expected an image as a path, bytes, a Pillow image or a uint8 array, but got {type(image).__name__}"
    )
