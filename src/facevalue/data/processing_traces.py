"""Traces that earlier processing left in an image's pixels: resampling, earlier JPEG compression, filtering.

Measured on the central part of the grey image in its own resolution, because scaling it would remove the traces.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facevalue.images.resize import FILTERS, resize
from facevalue.support.formats import percent

Floats = NDArray[np.float64]

SIDE = 256
"""Longest side of the part of an image that is looked at, in pixels."""

SMALLEST = 64
"""An image with a shorter side is too small to measure."""

GHOSTS = (40, 50, 60, 70, 75, 80, 85, 90, 95)
"""JPEG qualities with which the image is compressed again."""

# Logarithm of how libjpeg scales its tables for each quality; falls as the quality rises.
_COARSENESS = np.log([5000 / q if q < 50 else 200 - 2 * q for q in GHOSTS])
_BANDS = (0.06, 0.12, 0.2, 0.28, 0.34, 0.4, 0.46, 0.5)  # edges of the spectrum's bands, in cycles per pixel
_BLOCK = 16
_CLEAR = 6  # times its surroundings: a peak that is hardly chance

TRACES: dict[str, tuple[str, ...]] = {
    "resampling": ("frequency x", "strength x", "frequency y", "strength y"),
    "JPEG ghosts": tuple(f"quality {quality}" for quality in GHOSTS[1:-1]),
    "JPEG grid": ("offset x", "strength x", "offset y", "strength y"),
    "sharpness": ("log of the Laplacian's share",),
    "noise spectrum": (
        *(f"band {low:g} to {high:g}" for low, high in pairwise(_BANDS[1:])),
        *(f"correlation {lag}" for lag in ("0,1", "1,0", "1,1", "0,2", "2,0")),
        "log of the noise",
    ),
}
"""Names of the numbers that describe each trace."""

COLUMNS = tuple(f"{trace}: {name}" for trace, names in TRACES.items() for name in names)


def measured(image: Image.Image, side: int) -> tuple[Floats, Floats]:
    """The traces of an image, and the same numbers at half its size as a control.

    The first are of the central square of ``side / 2`` pixels, the second of the central square of ``side`` pixels
    scaled to half: equally many pixels. What an image shows looks about the same at both scales; traces of processing
    lie near the scale of single pixels and are mostly lost at the second.

    Parameters
    ----------
    image : upright, RGB, not smaller than ``side``.
    side : a multiple of 16, from :data:`SMALLEST`.

    Returns
    -------
    Twice the numbers of :data:`COLUMNS`.
    """
    region = _central(image, side)
    small = resize(Image.fromarray(region), (side // 2, side // 2), FILTERS["lanczos"])
    return traces(_central(image, side // 2)), traces(np.asarray(small))


def _central(image: Image.Image, side: int) -> NDArray[np.uint8]:
    """The central square as grey; it starts on the 8 x 8 grid of the image's own JPEG blocks."""
    left, top = ((length - side) // 2 // 8 * 8 for length in image.size)
    return np.asarray(image.crop((left, top, left + side, top + side)).convert("L"))


def traces(grey: NDArray[np.uint8]) -> Floats:
    """The numbers of :data:`COLUMNS` for a grey image (h, w), as float64."""
    g = grey.astype(np.float64)
    found = (*resampling(g), *ghosts(grey), *grid(g), sharpness(g), *noise_spectrum(g))
    return np.array(found, np.float64)


def resampling(g: Floats) -> tuple[float, float, float, float]:
    """Frequency and strength of periodic correlations between neighbours, along x and y.

    Resampling makes every pixel a weighted sum of neighbours, with weights that repeat (Popescu & Farid 2005). A fixed
    linear predictor shows how well neighbours predict a pixel (Kirchner 2008), and the spectrum of that shows the
    period. An image enlarged by a factor r has a peak at 1/r cycles per pixel, folded into [0, 0.5].

    Returns
    -------
    For x and then y: the frequency of the highest peak in cycles per pixel, and the logarithm of its height over the
    median of its surroundings.
    """
    middle, cross, corners = g[1:-1, 1:-1], _cross(g), g[:-2, :-2] + g[:-2, 2:] + g[2:, :-2] + g[2:, 2:]
    predicted = np.exp(-np.square(middle - cross / 2 + corners / 4))
    return (*_peak(predicted.mean(axis=0)), *_peak(predicted.mean(axis=1)))


def _cross(g: Floats) -> Floats:
    return np.asarray(g[:-2, 1:-1] + g[2:, 1:-1] + g[1:-1, :-2] + g[1:-1, 2:])


def _peak(line: Floats) -> tuple[float, float]:
    n = len(line)
    size = np.abs(np.fft.rfft((line - line.mean()) * np.hanning(n)))
    frequency = np.arange(len(size)) / n
    # The slow changes of the scene, and the harmonics of the JPEG grid.
    eighths = np.abs(frequency * 8 - np.round(frequency * 8)) / 8
    usable = (frequency > 0.05) & (eighths > 1.5 / n)
    if not usable.any() or size[usable].max() < 1e-9:
        return 0.0, 0.0
    reach = 8
    padded = np.pad(size, reach, mode="reflect") if len(size) > reach else np.pad(size, reach, mode="edge")
    around = np.median(np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1), axis=1)
    height = np.where(usable, size / (around + 1e-9), 0)
    best = int(height.argmax())
    return float(frequency[best]), float(np.log(max(height[best], 1e-9)))


def ghosts(grey: NDArray[np.uint8]) -> list[float]:
    """How much less than its neighbours in :data:`GHOSTS` each quality changes the image (Farid 2009).

    An image that was once compressed with a quality changes little when it is compressed with that quality again.

    Returns
    -------
    By quality, without the first and the last: the logarithm of the mean squared change, minus what its two neighbours
    let expect on a logarithmic scale of quantisation. Negative where there is a ghost.
    """
    image, g = Image.fromarray(grey), grey.astype(np.float32)
    changes = []
    for quality in GHOSTS:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=quality)
        again = np.asarray(Image.open(buffer, formats=["JPEG"]), np.float32)
        changes.append(float(np.log(np.square(again - g).mean() + 0.02)))
    expected = [
        np.interp(_COARSENESS[i], _COARSENESS[[i + 1, i - 1]], [changes[i + 1], changes[i - 1]])
        for i in range(1, len(GHOSTS) - 1)
    ]
    return [change - float(usual) for change, usual in zip(changes[1:-1], expected, strict=True)]


def grid(g: Floats) -> tuple[float, float, float, float]:
    """Where an 8 x 8 grid of JPEG blocks lies, and how strong it is, along x and y.

    After Fan & de Queiroz 2003: differences across block borders are larger than those inside blocks.

    Returns
    -------
    For x and then y: the offset of the grid, 0 to 7 (0 is the image's own grid), and the logarithm of the difference
    across its borders over the mean of the other seven offsets.
    """
    return (*_grid_along(g), *_grid_along(g.T))


def _grid_along(g: Floats) -> tuple[float, float]:
    # The jump between columns i + 1 and i + 2, less what the slopes on both sides explain; strong edges count as 16.
    jump = np.abs(g[:, :-3] - 3 * g[:, 1:-2] + 3 * g[:, 2:-1] - g[:, 3:])
    by_column = np.minimum(jump, 16).mean(axis=0)
    by_phase = np.array([by_column[(phase - 2) % 8 :: 8].mean() for phase in range(8)])
    best = int(by_phase.argmax())
    others = (by_phase.sum() - by_phase[best]) / 7
    return float(best), float(np.log((by_phase[best] + 0.01) / (others + 0.01)))


def sharpness(g: Floats) -> float:
    """Logarithm of the variance of the Laplacian over that of the image (Pech-Pacheco et al. 2000)."""
    spread = float(g.var())
    edges = float((_cross(g) - 4 * g[1:-1, 1:-1]).var())
    return float(np.log((edges + 0.01) / (spread + 0.01)))


def noise_spectrum(g: Floats) -> list[float]:
    """Shape of the spectrum's high end, and the noise of the flattest quarter of the blocks.

    Returns
    -------
    The logarithm of each band's mean power over that of the band below it; the correlation of the noise between
    neighbours; the logarithm of the noise's standard deviation in levels of 255.
    """
    height, width = g.shape
    window, band = _window_and_bands(height, width)
    power = np.square(np.abs(np.fft.rfft2((g - g.mean()) * window)))
    total = np.bincount(band.ravel(), power.ravel(), len(_BANDS) + 1)
    count = np.bincount(band.ravel(), minlength=len(_BANDS) + 1)
    level = np.log(total[1:-1] / np.maximum(count[1:-1], 1) + height * width * 1e-3)
    return [*np.diff(level).tolist(), *_flat_noise(g)]


@lru_cache(maxsize=4)
def _window_and_bands(height: int, width: int) -> tuple[Floats, NDArray[np.intp]]:
    """(h, w) window, and (h, w / 2 + 1) number of the band of each frequency."""
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    return np.outer(np.hanning(height), np.hanning(width)), np.digitize(frequency, _BANDS)


def _flat_noise(g: Floats) -> Sequence[float]:
    rows, columns = g.shape[0] // _BLOCK, g.shape[1] // _BLOCK
    blocks = g[: rows * _BLOCK, : columns * _BLOCK].reshape(rows, _BLOCK, columns, _BLOCK).swapaxes(1, 2)
    flat = blocks.reshape(-1, _BLOCK, _BLOCK)
    # Saturated blocks hold no noise.
    inside = (flat.min(axis=(1, 2)) > 4) & (flat.max(axis=(1, 2)) < 251)
    flat = flat[inside] if inside.any() else flat
    flat = flat - flat.mean(axis=(1, 2), keepdims=True)
    slope = np.arange(_BLOCK) - (_BLOCK - 1) / 2
    for axis in (1, 2):
        steep = np.tensordot(flat, slope, axes=(axis, 0)).mean(axis=1) / np.square(slope).sum()
        flat = flat - steep[:, None, None] * (slope[:, None] if axis == 1 else slope[None])
    variance = flat.var(axis=(1, 2))
    few = flat[np.argsort(variance, kind="stable")[: max(1, len(flat) // 4)]]
    whole = np.square(few).mean() + 1e-3
    pairs = (
        (few[:, :, 1:], few[:, :, :-1]),
        (few[:, 1:], few[:, :-1]),
        (few[:, 1:, 1:], few[:, :-1, :-1]),
        (few[:, :, 2:], few[:, :, :-2]),
        (few[:, 2:], few[:, :-2]),
    )
    correlations = [float((one * other).mean() / whole) for one, other in pairs]
    return [*correlations, float(np.log(whole) / 2)]


def usual(trace: str, numbers: NDArray[np.float64]) -> str:
    """The usual value of a trace, a key of :data:`TRACES`, as text; ``numbers`` (n, d) are its numbers of n images."""
    if trace == "resampling":
        strength = numbers[:, [1, 3]]
        clear = strength.max(axis=1) > np.log(_CLEAR)
        if clear.mean() < 0.2:
            return "no clear period"
        peaks = numbers[clear][:, [0, 2]][np.arange(clear.sum()), strength[clear].argmax(axis=1)]
        return f"{factors_of(float(np.median(peaks)))} in {percent(float(clear.mean()), 0)}"
    if trace == "JPEG ghosts":
        lowest = Counter(GHOSTS[1 + int(i)] for i in numbers.argmin(axis=1)).most_common(1)[0]
        return f"quality {lowest[0]} ({percent(lowest[1] / len(numbers), 0)})"
    if trace == "JPEG grid":
        aligned = np.mean((numbers[:, 0] == 0) & (numbers[:, 2] == 0))
        return f"at the image's own grid in {percent(float(aligned), 0)}"
    if trace == "sharpness":
        return f"{np.exp(np.median(numbers[:, 0])):.2g}"
    return (
        f"noise of {np.exp(np.median(numbers[:, -1])):.2g} levels, neighbours correlate {np.median(numbers[:, 6]):.2f}"
    )


def factors_of(frequency: float) -> str:
    """The resampling factors that give a period of this frequency, in cycles per pixel.

    >>> factors_of(0.333)
    'enlarged 1.50 or 3.0 times, or reduced to 0.75'
    """
    return f"enlarged {1 / (1 - frequency):.2f} or {1 / frequency:.1f} times, or reduced to {1 / (1 + frequency):.2f}"
