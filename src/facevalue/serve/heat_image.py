"""Heat as a PNG: what in an image spoke for the class leant to."""

from __future__ import annotations

import io
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

View = Literal["overlay", "heat"]

_PLACES = (0.0, 0.35, 0.6, 1.0)
_COLOURS = np.array([(40, 60, 160), (40, 170, 190), (240, 210, 60), (200, 20, 20)], dtype=np.float64)
"""From cold to hot, at those places."""


def heat_png(pixels: NDArray[np.uint8], heat: NDArray[np.floating], view: View) -> bytes:
    """A PNG of the network input's size.

    Parameters
    ----------
    pixels : (s, s, 3) the network input.
    heat : (h, w) in [0, 1].
    view : ``overlay`` in colour over the network input; ``heat`` alone as grey, 0 to 255.
    """
    side = pixels.shape[0]
    fine = Image.fromarray(np.round(255 * heat).astype(np.uint8)).resize((side, side), Image.Resampling.BICUBIC)
    if view == "heat":
        return _png(fine)
    levels = np.asarray(fine)
    alpha = 0.7 * np.sqrt(levels / 255)[..., None]  # the root keeps mild heat visible
    mixed = pixels * (1 - alpha) + _table()[levels] * alpha
    return _png(Image.fromarray(np.round(mixed).astype(np.uint8)))


@lru_cache(maxsize=1)
def _table() -> NDArray[np.float64]:
    at = np.linspace(0, 1, 256)
    return np.stack([np.interp(at, _PLACES, channel) for channel in _COLOURS.T], axis=1)


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
