"""Pictures that are drawn from a seed: smooth areas, edges, shapes and fine texture, as photographs have."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Random = np.random.Generator


def scene(rng: Random, width: int, height: int) -> Image.Image:
    """An RGB image: a smooth background, some shapes with sharp edges, and noise of every colour."""
    coarse = rng.integers(0, 256, (5, 5, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(image)
    for _ in range(6):
        x, y = rng.integers(0, width), rng.integers(0, height)
        w, h = rng.integers(1, max(2, width // 2)), rng.integers(1, max(2, height // 2))
        colour = tuple(int(c) for c in rng.integers(0, 256, 3))
        shape = draw.ellipse if rng.integers(2) else draw.rectangle
        shape((int(x), int(y), int(x + w), int(y + h)), fill=colour)
    # One tile of noise repeated: a large image costs little more than a small one.
    tile = rng.integers(-12, 13, (64, 64, 3), dtype=np.int16)
    noise = np.tile(tile, (height // 64 + 1, width // 64 + 1, 1))[:height, :width]
    pixels = np.asarray(image, np.int16) + noise
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def lines(rng: Random, width: int, height: int) -> Image.Image:
    """Lines of one pixel, some a pixel apart: what resizing and colour subsampling change the most."""
    image = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(image)
    step = int(rng.integers(2, 6))
    ink = tuple(int(c) for c in rng.integers(0, 256, 3))
    for x in range(0, width // 2, step):
        draw.line((x, 0, x, height), fill=ink)
    for y in range(0, height, step):
        draw.line((width // 2, y, width, y), fill=ink)
    draw.line((0, 0, width, height), fill="red")
    return image


def opacity(rng: Random, width: int, height: int) -> Image.Image:
    """Opacity as mode L: a gradient with a clear and an opaque corner."""
    coarse = rng.integers(0, 256, (4, 4), dtype=np.uint8)
    smooth = Image.fromarray(coarse).resize((width, height), Image.Resampling.BILINEAR)
    smooth.paste(0, (0, 0, width // 3, height // 3))
    smooth.paste(255, (width // 2, height // 2, width, height))
    return smooth


def wide(image: Image.Image, rng: Random) -> NDArray[np.uint16]:
    """The pixels of a image with 16 bits; the low bytes are random, so that rounding shows."""
    pixels = np.asarray(image).astype(np.uint16)
    return pixels * 256 + rng.integers(0, 256, pixels.shape, dtype=np.uint16)
