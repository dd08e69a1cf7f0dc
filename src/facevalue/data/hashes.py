"""A perceptual hash: 256 bits that an image keeps when it is resized, saved again or brightened."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facevalue.images.resize import resize

VERSION = 2
"""Changes with the hash: hashes of different versions cannot be compared."""

BITS = 256
NEAR = 32
"""Images whose hashes differ in at most this many bits are near-duplicates."""

_SIDE = 64  # the grey image that is transformed
_FREQUENCIES = 85  # lowest frequencies taken, in order of their distance from zero
_REACH = 11  # none of them lies further out in either direction
_STEP = 0.8  # outer thresholds, in typical sizes of a weighted coefficient
_FLAT = 16.0  # least typical size: what a flat image's noise reaches is no structure


def phash(image: Image.Image) -> NDArray[np.uint8]:
    """(32,) uint8: an image's 256 bits.

    The 85 lowest frequencies of the grey image, weighted by their distance from zero (which evens out that natural
    images have less of the higher ones; Field 1987), are each asked three times: above minus a threshold, above
    zero, above the threshold? A change must be large to flip more than one of the three. After the DCT hash of Zauner
    2010, which asks once, and so needs frequencies that small images and strong JPEG do not keep.
    """
    grey = image if image.mode == "L" else image.convert("L")
    small = np.asarray(resize(grey, (_SIDE, _SIDE), Image.Resampling.LANCZOS), dtype=np.float64)
    basis, rows, columns, weight = _plan()
    low = (basis @ small @ basis.T)[rows, columns]
    # Rounded, so that the last digit of a machine's arithmetic does not become a bit.
    low = np.round(low, 2) * weight
    step = _STEP * max(float(np.median(np.abs(low))), _FLAT)
    bits = np.zeros(BITS, bool)
    bits[: 3 * _FREQUENCIES] = np.concatenate([low > -step, low > 0, low > step])
    return np.packbits(bits)


@lru_cache(maxsize=1)
def _plan() -> tuple[NDArray[np.float64], NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """The orthonormal DCT-II up to the reach, and which of its coefficients are taken with what weight."""
    frequency = np.arange(_REACH)[:, None]
    basis = np.sqrt(2 / _SIDE) * np.cos(np.pi * frequency * (2 * np.arange(_SIDE) + 1) / (2 * _SIDE))
    basis[0] /= np.sqrt(2)
    distance = np.hypot(frequency, frequency.T).ravel()
    taken = np.argsort(distance, kind="stable")[1 : _FREQUENCIES + 1]  # without the mean
    rows, columns = np.unravel_index(taken, (_REACH, _REACH))
    return basis, rows, columns, distance[taken]


def unpack(hashes: Iterable[str]) -> NDArray[np.uint64]:
    """(n, 4) uint64 from hexadecimal hashes of 256 bits.

    >>> unpack(["00" * 32, "ff" * 32]).shape
    (2, 4)
    """
    raw = bytes.fromhex("".join(hashes))
    return np.frombuffer(raw, dtype=np.uint64).reshape(-1, BITS // 64)


def distances(a: NDArray[np.uint64], b: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Bits in which hashes (…, 4) differ.

    >>> distances(unpack(["00" * 32]), unpack(["ff" * 32])).tolist()
    [256]
    """
    apart: NDArray[np.int64] = np.bitwise_count(a ^ b).sum(axis=-1, dtype=np.int64)
    return apart
