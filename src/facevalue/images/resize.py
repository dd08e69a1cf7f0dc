"""Resampling that gives the same bytes with every supported Pillow.

Pillow resamples in two passes, one per direction, and rounds between them, so the order matters. Up to 12.3 the
horizontal pass came first; 13.0 starts with the vertical one if that makes a tall image much smaller. One call per pass
fixes the order and gives the same bytes as a single call up to 12.3.
"""

from __future__ import annotations

from typing import Literal

from PIL import Image

Filter = Literal["nearest", "box", "bilinear", "bicubic", "lanczos"]

FILTERS: dict[Filter, Image.Resampling] = {
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
"""Pillow's resampling filters by name; all but ``nearest`` are antialiased."""

Box = tuple[float, float, float, float]
"""Left, top, right and bottom of a part of an image, in pixels."""

MOST_BETWEEN = 1 << 27
"""Most pixels between the passes. Widening a column of a million pixels first would need gigabytes."""


def resize(
    image: Image.Image, size: tuple[int, int], resample: Image.Resampling, box: Box | None = None
) -> Image.Image:
    """Resample ``image`` or a part of it, horizontally first; the same bytes with every supported Pillow.

    If the image between the passes would have more than :data:`MOST_BETWEEN` pixels, the vertical pass comes first.

    Parameters
    ----------
    size : width and height of the result.
    box : the part of the image to resample; by default the whole image.

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
    """The image scaled down so that its longest side is ``longest``; a smaller image is returned unchanged."""
    if max(image.size) <= longest:
        return image
    scale = longest / max(image.size)
    return resize(image, (max(1, round(image.width * scale)), max(1, round(image.height * scale))), resample)
