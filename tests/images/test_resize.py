"""Resampling in two passes, each against Pillow's own single pass; no image is too long or too thin for it."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from facevalue.images import resize

BICUBIC = Image.Resampling.BICUBIC


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width), dtype=np.uint8))


def across(image: Image.Image, width: int) -> Image.Image:
    return image.resize((width, image.height), BICUBIC)


def down(image: Image.Image, height: int) -> Image.Image:
    return image.resize((image.width, height), BICUBIC)


@pytest.mark.parametrize("size", [(40, 300), (300, 40), (31, 17)])
def test_horizontally_first(size: tuple[int, int]) -> None:
    image = noise(*size)
    found = np.asarray(resize.resize(image, (24, 24), BICUBIC))
    np.testing.assert_array_equal(found, np.asarray(down(across(image, 24), 24)))
    if size[0] != size[1]:
        assert (found != np.asarray(across(down(image, 24), 24))).any()  # the order does matter


def test_vertically_first_where_the_image_between_would_be_huge() -> None:
    """Three pixels wide and 600,001 high."""
    image = noise(3, 600_001)
    assert 224 * image.height > resize.MOST_BETWEEN
    found = np.asarray(resize.resize(image, (224, 224), BICUBIC))
    np.testing.assert_array_equal(found, np.asarray(across(down(image, 224), 224)))


@pytest.mark.parametrize(
    ("size", "expected"),
    [((5000, 1), (100, 1)), ((1, 5000), (1, 100)), ((300, 150), (100, 50)), ((100, 7), (100, 7)), ((9, 9), (9, 9))],
)
def test_a_thumbnail_keeps_at_least_one_pixel_and_enlarges_nothing(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert resize.thumbnail(noise(*size), 100, BICUBIC).size == expected
