"""Everyday corruptions: functions of an RGB image, a strength and a random generator."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageFilter

from facevalue.images.resize import resize as resampled


def jpeg(image: Image.Image, quality: float, _rng: np.random.Generator) -> Image.Image:
    """Save as JPEG with this quality and chroma at half resolution."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=round(quality))
    return Image.open(buffer).convert("RGB")


def blur(image: Image.Image, sigma: float, _rng: np.random.Generator) -> Image.Image:
    """Gaussian blur; ``sigma`` is in pixels of an image whose shorter side is 256."""
    return image.filter(ImageFilter.GaussianBlur(sigma * min(image.size) / 256))


def noise(image: Image.Image, levels: float, rng: np.random.Generator) -> Image.Image:
    """Gaussian noise with a standard deviation of ``levels`` grey levels, rounded and clipped to 8 bits."""
    values = np.asarray(image, np.float32)
    noisy = values + levels * rng.standard_normal(values.shape, np.float32)
    return Image.fromarray(noisy.round().clip(0, 255).astype(np.uint8))


def resize(image: Image.Image, share: float, _rng: np.random.Generator) -> Image.Image:
    """Shrink each side to this share, as thumbnails and messengers do; sides stay at least 8 pixels."""
    width, height = (max(8, round(share * side)) for side in image.size)
    return resampled(image, (width, height), Image.Resampling.BICUBIC)


def crop(image: Image.Image, share: float, rng: np.random.Generator) -> Image.Image:
    """Crop a rectangle with this share of each side at a random position."""
    width, height = (max(1, round(share * side)) for side in image.size)
    left, top = (int(rng.integers(0, room + 1)) for room in (image.width - width, image.height - height))
    return image.crop((left, top, left + width, top + height))


def brightness(image: Image.Image, times: float, _rng: np.random.Generator) -> Image.Image:
    """Multiply every value by ``times`` and clip to 8 bits."""
    values = np.asarray(image, np.float32) * times
    return Image.fromarray(values.round().clip(0, 255).astype(np.uint8))


# For each step: scale, gamma, border as a share of the shorter side, JPEG quality.
_SCREENS = (
    (0.9, 1.05, 0.02, 92),
    (0.75, 1.1, 0.05, 85),
    (0.6, 1.2, 0.1, 75),
    (0.5, 1.3, 0.15, 65),
    (0.4, 1.4, 0.2, 50),
)


def screenshot(image: Image.Image, step: float, rng: np.random.Generator) -> Image.Image:
    """A simulated screenshot of the image in a window, in five steps.

    The image is scaled down bilinearly, passed through a gamma, framed by a dark bar above and a light border on the
    other sides, and saved as JPEG. From step 1 to 5: scale 0.9 to 0.4, gamma 1.05 to 1.4, border 2 to 20 % and quality
    92 to 50.
    """
    scale, gamma, border, quality = _SCREENS[round(step) - 1]
    width, height = (max(8, round(scale * side)) for side in image.size)
    shown = resampled(image, (width, height), Image.Resampling.BILINEAR)
    table = [round(255 * (value / 255) ** gamma) for value in range(256)]
    edge = max(1, round(border * min(width, height)))
    window = Image.new("RGB", (width + 2 * edge, height + 3 * edge), (236, 236, 236))
    window.paste((52, 56, 62), (0, 0, window.width, 2 * edge))
    window.paste(shown.point(table * 3), (edge, 2 * edge))
    return jpeg(window, quality, rng)
