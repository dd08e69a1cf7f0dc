"""Image files after everyday changes, for benchmarks/drift.py."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

Change = Callable[[bytes], bytes]


def jpeg(quality: int) -> Change:
    """Saved again as JPEG."""

    def saved(image: bytes) -> bytes:
        buffer = io.BytesIO()
        Image.open(io.BytesIO(image)).convert("RGB").save(buffer, "JPEG", quality=quality)
        return buffer.getvalue()

    return saved


def _changed(change: Callable[[Image.Image], Image.Image]) -> Change:
    def saved(image: bytes) -> bytes:
        buffer = io.BytesIO()
        change(Image.open(io.BytesIO(image)).convert("RGB")).save(buffer, "JPEG", quality=75)
        return buffer.getvalue()

    return saved


def _noisy(image: Image.Image) -> Image.Image:
    pixels = np.asarray(image).astype(float)
    noise = np.random.default_rng(pixels.size).normal(0, 25, pixels.shape)
    return Image.fromarray(np.clip(pixels + noise, 0, 255).astype(np.uint8))


CHANGES: dict[str, Change] = {
    "jpeg-q40": jpeg(40),
    "jpeg-q20": jpeg(20),
    "jpeg-q5": jpeg(5),
    "blur": _changed(lambda image: image.filter(ImageFilter.GaussianBlur(3))),
    "noise": _changed(_noisy),
    "dark": _changed(lambda image: ImageEnhance.Brightness(image).enhance(0.3)),
    "small": _changed(lambda image: image.resize((48, 48)).resize(image.size)),
    "flat": _changed(lambda image: ImageEnhance.Contrast(image).enhance(0.25)),
}
