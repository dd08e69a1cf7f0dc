"""Simple measures of an image: its size, sharpness, compression and colours, without a network."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from facevalue.data.manifest import Manifest
from facevalue.errors import ImageError
from facevalue.images.resize import FILTERS, resize
from facevalue.images.sources import upright
from facevalue.support import machine, progress

Floats = NDArray[np.float64]

SMALL = 8
"""Side of the small copy of an image, in pixels."""

REGION = 512
"""Longest side of the central part whose sharpness is measured, in pixels."""


@dataclass(frozen=True, eq=False)
class SimpleMeasures:
    """Measures of n images.

    Attributes
    ----------
    read : (m,) whether an image could be read; the n are those.
    features : (n, d) facts of the files, and a small copy of each image.
    baselines : by name, (n,) one number per image, or (n, 3) the mean colour.
    """

    read: NDArray[np.bool_]
    features: Floats
    baselines: dict[str, Floats]


def measure(manifest: Manifest, rows: pd.DataFrame) -> SimpleMeasures:
    """Measure m images of a manifest; each is read once, in its own resolution."""
    read = partial(_measured, manifest)
    found = list(progress.track(machine.in_order(read, rows["path"]), "measuring images", len(rows)))
    kept = np.array([one is not None for one in found], bool)
    seen = np.array([one for one in found if one is not None], np.float64).reshape(int(kept.sum()), -1)
    table = rows[kept]
    sides = table[["width", "height"]].to_numpy(float)
    sharpness, colour = (seen[:, 0], seen[:, 1:4]) if len(seen) else (np.empty(0), np.empty((0, 3)))
    facts = np.column_stack(
        [
            np.log(sides),
            np.log(sides[:, 0] / sides[:, 1]),
            np.log(table["bytes"].to_numpy(float) / sides.prod(axis=1)),
            table[["jpeg_quality", "darkest", "brightest", "sharpness"]].to_numpy(float),
            (table["format"] == "JPEG").to_numpy(float),
        ]
    )
    return SimpleMeasures(
        read=kept,
        features=np.column_stack([facts, seen]),
        baselines={
            "longer side": sides.max(axis=1),
            "sharpness (mean absolute Laplacian)": sharpness,
            "JPEG quality (0: not JPEG)": table["jpeg_quality"].to_numpy(float),
            "mean colour": colour,
        },
    )


def _measured(manifest: Manifest, path: str) -> Floats | None:
    try:
        return measures_of(upright(manifest.images.get(path, Path(path))))
    except ImageError:  # it could be read a moment ago
        return None


def measures_of(image: Image.Image) -> Floats:
    """Sharpness, mean red, green and blue, and the values of a small copy, of an upright RGB image.

    Returns
    -------
    (4 + 3 * :data:`SMALL` ** 2,) numbers. Sharpness is the mean absolute Laplacian of the central part in levels.
    """
    small = np.asarray(resize(image, (SMALL, SMALL), FILTERS["box"]), np.float64)
    width, height = (min(side, REGION) for side in image.size)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    grey = np.asarray(image.crop((left, top, left + width, top + height)).convert("L"), np.float64)
    edges = 0.0
    if min(grey.shape) >= 3:
        around = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
        edges = float(np.abs(around - 4 * grey[1:-1, 1:-1]).mean())
    return np.concatenate([[edges], small.mean(axis=(0, 1)), small.ravel()])
