"""Images unlike the rest: in size, in light, in sharpness."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

FLAT = 6
"""Least range of brightness, of 255, between the 1st and the 99th percentile; below, an image is blank."""

DARK, BRIGHT = 40, 225
"""Nearly all of a dark image lies below, nearly all of a bright one above."""

_FAR = 3.0  # quartile ranges beyond the quartile: Tukey's «far out» (1977)
_SIZE_FLOOR = float(np.log(2))  # an image is no outlier for being less than twice or half the usual
_SHARPNESS_FLOOR = float(np.log(4))


@dataclass(frozen=True)
class Oddity:
    """One image and what is odd about it."""

    path: str
    label: str
    kind: str
    detail: str


def find_oddities(table: pd.DataFrame) -> tuple[Oddity, ...]:
    """Blank, dark, bright, blurred and oddly sized images among readable rows."""
    low, high = table["darkest"].to_numpy(int), table["brightest"].to_numpy(int)
    blank = high - low < FLAT
    dark = ~blank & (high < DARK)
    bright = ~blank & (low > BRIGHT)
    seen = ~(blank | dark | bright)
    sharp = np.log(table["sharpness"].to_numpy(float).clip(1e-9))
    blurred = seen & (_beyond(sharp, _SHARPNESS_FLOOR, seen) < 0)
    width, height = table["width"].to_numpy(float), table["height"].to_numpy(float)
    odd = (_beyond(np.log(width), _SIZE_FLOOR) != 0) | (_beyond(np.log(height), _SIZE_FLOOR) != 0)
    usual = f"{np.median(width):.0f} x {np.median(height):.0f}"
    usual_sharpness = float(np.exp(np.median(sharp[seen]))) if seen.any() else 0.0
    found: list[Oddity] = []
    for kind, which, text in (
        ("blank", blank, "brightness from {0.darkest} to {0.brightest} of 255"),
        ("dark", dark, "hardly brighter than {0.brightest} of 255 anywhere"),
        ("bright", bright, "hardly darker than {0.darkest} of 255 anywhere"),
        ("blurred", blurred, "sharpness {0.sharpness:.2g}; usual here: " + f"{usual_sharpness:.2g}"),
        ("size", odd, "{0.width} x {0.height} pixels; usual here: " + usual),
    ):
        rows = table[which].sort_values("sharpness") if kind == "blurred" else table[which]
        found.extend(Oddity(str(r.path), str(r.label), kind, text.format(r)) for r in rows.itertuples())
    return tuple(found)


def _beyond(values: NDArray[np.float64], floor: float, among: NDArray[np.bool_] | None = None) -> NDArray[np.int64]:
    """(n,) -1 or 1 where a value lies far below or above the middle half of those ``among``, else 0.

    Far is three quartile ranges from the quartile and ``floor`` from the median.
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
