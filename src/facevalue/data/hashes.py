"""A perceptual hash: 256 bits that an image keeps when it is resized, saved again or brightened."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facevalue.images.resize import resize

VERSION = 2
"""Version of the hash: hashes of different versions cannot be compared."""

BITS = 256
NEAR = 32
"""Images whose hashes differ in at most this many bits are near-duplicates."""

_SIDE = 64  # side in pixels of the grey image that is transformed
_FREQUENCIES = 85  # number of lowest frequencies used, in order of their distance from zero
_REACH = 11  # all of them are below this in both directions
_STEP = 0.8  # outer thresholds, relative to the median weighted coefficient
_BLOCK = 65_536  # hashes that are Python strings at a time
_FLAT = 16.0  # least median assumed, so that the noise of a flat image does not count as structure


def phash(image: Image.Image) -> NDArray[np.uint8]:
    """(32,) uint8: an image's 256 bits.

    Each of the 85 lowest frequencies of the grey image gives three bits: above minus a threshold, above zero, above the
    threshold. Only a large change flips more than one of them. Frequencies are weighted by their distance from zero,
    because natural images have less of the higher ones (Field 1987). Based on the DCT hash of Zauner 2010, which takes
    one bit per frequency and so needs higher frequencies, which small images and strong JPEG compression lose.
    """
    grey = image if image.mode == "L" else image.convert("L")
    small = np.asarray(resize(grey, (_SIDE, _SIDE), Image.Resampling.LANCZOS), dtype=np.float64)
    basis, rows, columns, weight = _plan()
    low = (basis @ small @ basis.T)[rows, columns]
    # Rounded, so that rounding differences between machines do not flip bits.
    low = np.round(low, 2) * weight
    middle = np.partition(np.abs(low), _FREQUENCIES // 2)[_FREQUENCIES // 2]  # the median of an odd number
    step = _STEP * max(float(middle), _FLAT)
    bits = np.zeros(BITS, bool)
    bits[: 3 * _FREQUENCIES] = np.concatenate([low > -step, low > 0, low > step])
    return np.packbits(bits)


@lru_cache(maxsize=1)
def _plan() -> tuple[NDArray[np.float64], NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """The orthonormal DCT-II up to ``_REACH``, and the positions and weights of the coefficients used."""
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
    source, parts = iter(hashes), [np.empty(0, np.uint64)]
    while some := "".join(islice(source, _BLOCK)):
        parts.append(np.frombuffer(bytes.fromhex(some), dtype=np.uint64))
    return np.concatenate(parts).reshape(-1, BITS // 64)


def distances(a: NDArray[np.uint64], b: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Bits in which hashes (…, 4) differ.

    >>> distances(unpack(["00" * 32]), unpack(["ff" * 32])).tolist()
    [256]
    """
    apart: NDArray[np.int64] = np.bitwise_count(a ^ b).sum(axis=-1, dtype=np.int64)
    return apart
