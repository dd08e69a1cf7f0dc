"""Images that look the same, by small copies of them: for images that a perceptual hash cannot tell apart.

A hash keeps the signs of low frequencies. Flat images, stripes and pages have few that are not 0, so different ones
have nearly the same hash.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facevalue.data.dataset import ImageDataset
from facevalue.data.hashes import NEAR, unpack
from facevalue.images.resize import resize
from facevalue.support import machine

SIDE = 16
"""Side of a small copy, in pixels."""

SAME = 10.0
"""Root mean square difference, in levels of 255, below which two small copies look the same."""

_BLOCK = 512


def small_copies(images: ImageDataset) -> NDArray[np.float32]:
    """(n, d) values of a small copy of each image, in levels of 255."""

    def small(index: int) -> NDArray[np.float32]:
        copy = resize(images.upright(index), (SIDE, SIDE), Image.Resampling.BILINEAR)
        return np.asarray(copy, np.float32).reshape(-1)

    return np.stack(list(machine.in_order(small, range(len(images)))))


def groups(copies: NDArray[np.float32]) -> NDArray[np.int64]:
    """(n,) a number for each image: images that look the same, directly or over others, have the same."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = len(copies)
    pairs = [np.argwhere(_same(copies[i : i + _BLOCK], copies)) + np.array([i, 0]) for i in range(0, n, _BLOCK)]
    rows, columns = np.concatenate(pairs).T
    found: NDArray[np.int64] = connected_components(coo_array((np.ones(len(rows)), (rows, columns)), (n, n)))[1]
    return found.astype(np.int64)


def known_among(images: ImageDataset, copies: NDArray[np.float32], known: ImageDataset) -> NDArray[np.bool_]:
    """(n,) whether an image looks the same as one of ``known``, which has the near hash that such an image has.

    Parameters
    ----------
    copies : small copies of ``images``.
    """
    mine, theirs = unpack(images.rows["phash"]), unpack(known.rows["phash"])
    found = np.zeros(len(images), bool)
    candidates = [np.flatnonzero(np.bitwise_count(theirs ^ one).sum(1, dtype=np.int64) <= NEAR) for one in mine]
    needed = np.unique(np.concatenate(candidates))
    if not len(needed):
        return found
    place = {int(index): i for i, index in enumerate(needed)}
    others = small_copies(known.take(needed))
    for i, near in enumerate(candidates):
        if len(near):
            found[i] = _same(copies[i : i + 1], others[[place[int(j)] for j in near]]).any()
    return found


def _same(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(n, m) whether copies look the same."""
    squared = (a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T
    same: NDArray[np.bool_] = squared < SAME**2 * a.shape[1]
    return same
