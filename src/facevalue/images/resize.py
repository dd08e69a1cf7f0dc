"""Resampling that gives the same bytes with every supported Pillow.

Pillow resamples in two passes, one for each direction, and rounds between them, so the order shows in the result. Up to
12.3 the horizontal pass came first; 13.0 takes the vertical one first where it makes a tall image much smaller. One
call for each pass fixes the order, and gives what a single call gave up to 12.3.
"""

from __future__ import annotations

from PIL import Image

Box = tuple[float, float, float, float]
"""Left, top, right and bottom of a part of an image, in its pixels."""

MOST_BETWEEN = 1 << 27
"""Pixels between the passes. A column of a million pixels made wider first would need gigabytes."""


def resize(
    image: Image.Image, size: tuple[int, int], resample: Image.Resampling, box: Box | None = None
) -> Image.Image:
    """``image`` or a part of it at another size, horizontally first; the same bytes with every supported Pillow.

    Where the image between the passes would have more than :data:`MOST_BETWEEN` pixels, the vertical pass comes first.

    Parameters
    ----------
    size : width and height of the result.
    box : the part that becomes the result; all of the image by default.

    >>> resize(Image.new("RGB", (30, 20), "red"), (8, 5), Image.Resampling.BICUBIC).size
    (8, 5)
    """
    width, height = size
    left, top, right, bottom = box or (0, 0, *image.size)
    if width * image.height <= MOST_BETWEEN:
        between = image.resize((width, image.height), resample, box=(left, 0, right, image.height))
        return between.resize(size, resample, box=(0, top, width, bottom))
    between = image.resize((image.width, height), resample, box=(0, top, image.width, bottom))
    return between.resize(size, resample, box=(left, 0, right, height))


def thumbnail(image: Image.Image, longest: int, resample: Image.Resampling) -> Image.Image:
    """A smaller image of the same shape whose longest side is ``longest``; one that is small enough stays as it is."""
    if max(image.size) <= longest:
        return image
    scale = longest / max(image.size)
    return resize(image, (max(1, round(image.width * scale)), max(1, round(image.height * scale))), resample)
