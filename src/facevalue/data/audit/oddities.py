"""Find images with unusual size, brightness or sharpness."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

FLAT = 6
"""An image is blank if its 1st and 99th percentile of brightness differ by less than this, on a scale to 255."""

DARK, BRIGHT = 40, 225
"""A dark image is almost everywhere below the first value, a bright one above the second, on a scale to 255."""

LOOKS = ("width", "height", "darkest", "brightest", "sharpness")
"""The facts that are looked at."""

_FAR = 3.0  # quartile ranges beyond the quartile: Tukey's «far out» (1977)
_SIZE_FLOOR = float(np.log(2))  # between half and twice the median size an image is no outlier
_SHARPNESS_FLOOR = float(np.log(4))


@dataclass(frozen=True)
class Oddity:
    """One image and what is unusual about it."""

    path: str
    label: str
    kind: str
    detail: str


def find_oddities(table: pd.DataFrame) -> tuple[Oddity, ...]:
    """Blank, dark, bright, blurred and unusually sized images among readable rows."""
    low, high = table["darkest"].to_numpy(int), table["brightest"].to_numpy(int)
    blank = high - low < FLAT
    dark = ~blank & (high < DARK)
    bright = ~blank & (low > BRIGHT)
    seen = ~(blank | dark | bright)
    sharp = np.log(table["sharpness"].to_numpy(float).clip(1e-9))
    blurred = seen & (_beyond(sharp, _SHARPNESS_FLOOR, seen) < 0)
    width, height = table["width"].to_numpy(float), table["height"].to_numpy(float)
    unusual = (_beyond(np.log(width), _SIZE_FLOOR) != 0) | (_beyond(np.log(height), _SIZE_FLOOR) != 0)
    usual = f"{np.median(width):.0f} x {np.median(height):.0f}"
    usual_sharpness = float(np.exp(np.median(sharp[seen]))) if seen.any() else 0.0
    found: list[Oddity] = []
    for kind, which, text in (
        ("blank", blank, "brightness from {0.darkest} to {0.brightest} of 255"),
        ("dark", dark, "almost all pixels below {0.brightest} of 255"),
        ("bright", bright, "almost all pixels above {0.darkest} of 255"),
        ("blurred", blurred, "sharpness {0.sharpness:.2g}; median: " + f"{usual_sharpness:.2g}"),
        ("size", unusual, "{0.width} x {0.height} pixels; median: " + usual),
    ):
        rows = table[which].sort_values("sharpness") if kind == "blurred" else table[which]
        found.extend(Oddity(str(r.path), str(r.label), kind, text.format(r)) for r in rows.itertuples())
    return tuple(found)


def _beyond(values: NDArray[np.float64], floor: float, among: NDArray[np.bool_] | None = None) -> NDArray[np.int64]:
    """(n,) -1 for a value far below, 1 for one far above the quartiles of the values ``among``, else 0.

    Far means more than three interquartile ranges from the quartile and more than ``floor`` from the median.
    """
    usual = values if among is None else values[among]
    if not len(usual):
        return np.zeros(len(values), np.int64)
    lower, middle, upper = np.percentile(usual, (25, 50, 75))
    reach = _FAR * (upper - lower)
    beyond: NDArray[np.int64] = np.select(
        [values < min(lower - reach, middle - floor), values > max(upper + reach, middle + floor)], [-1, 1], 0
    )
    return beyond
