"""Small folders of images that no perceptual hash takes for one another."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def image() -> Callable[[Path, int], Path]:
    """Write an image made from a seed: smooth, so that it survives resizing and JPEG as photographs do."""

    def write(path: Path, seed: int) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = np.random.default_rng(seed).integers(0, 256, (12, 12, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((96, 96), Image.Resampling.BICUBIC).save(path)
        return path

    return write


@pytest.fixture
def fill(image: Callable[[Path, int], Path]) -> Callable[..., Path]:
    """Write ``n`` different images into each of the folders named below a root."""

    def write(root: Path, *folders: str, n: int = 8, first: int = 0) -> Path:
        for i, folder in enumerate(folders):
            for j in range(n):
                image(root / folder / f"p{j:02}.png", first + 1000 * i + j)
        return root

    return write
