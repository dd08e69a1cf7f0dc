"""The part of an image that a network sees of a face."""

from __future__ import annotations

FaceBox = tuple[int, int, int, int]
"""Left, top, width and height of a face in pixels of the upright image."""


def square_around(face: FaceBox, margin: float, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The square around a face, wholly inside the image, in whole pixels.

    It is moved where it would leave the image, and as large as the image's shorter side at most: nothing outside the
    image is made up.

    Parameters
    ----------
    face : inside the image.
    margin : share of the face's longer side that is added on each side.
    size : width and height of the image.

    Returns
    -------
    Left, top, right and bottom.

    >>> square_around((40, 30, 20, 40), 0.5, (200, 100))
    (10, 10, 90, 90)
    >>> square_around((0, 0, 20, 40), 0.5, (200, 100))
    (0, 0, 80, 80)
    """
    left, top, width, height = face
    side = min(round(max(width, height) * (1 + 2 * margin)), *size)
    side = max(1, side)
    x, y = left + (width - side) / 2, top + (height - side) / 2
    x, y = (min(max(0, round(at)), whole - side) for at, whole in zip((x, y), size, strict=True))
    return (x, y, x + side, y + side)
