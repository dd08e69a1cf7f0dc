"""Foreground masks of images, found without labels, so that training can replace the background.

Classes often have typical backgrounds, and a network that learns the backgrounds fails on others (Xiao et al. 2021,
*Noise or Signal*, arXiv:2006.09994). GrabCut (Rother et al. 2004, ACM Transactions on Graphics 23(3)), started from
the centre of the network input, finds the foreground often enough to remove that shortcut.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facevalue.data.dataset import ImageDataset
from facevalue.support import progress
from facevalue.support.machine import in_order

SIDE = 80
"""Side in pixels of the images that GrabCut works on: enough for an outline; its time grows with the pixels."""
_SURE = (0.07, 0.25)
_LIKELY = (0.38, 0.45)
_EDGE = 0.04
_ITERATIONS = 3
_LEAST = 0.03
_CONTRAST = 8


class ForegroundMasks:
    """The foreground masks of n images of ``SIDE`` x ``SIDE`` pixels, one bit per pixel (800 bytes per image)."""

    def __init__(self, bits: NDArray[np.uint8]) -> None:
        self.bits = bits

    def __len__(self) -> int:
        return len(self.bits)

    def masks(self, indices: NDArray[np.int64], side: int) -> NDArray[np.float32]:
        """(len(indices), side, side) in [0, 1]: 1 foreground, 0 background, values between along the edge."""
        flat = np.unpackbits(self.bits[indices], axis=1, count=SIDE * SIDE).reshape(-1, SIDE, SIDE)
        resized = [
            np.asarray(Image.fromarray(mask * 255).resize((side, side), Image.Resampling.BILINEAR)) for mask in flat
        ]
        return np.stack(resized).astype(np.float32) / np.float32(255)


def foreground_of(dataset: ImageDataset) -> ForegroundMasks:
    """The foreground masks of all images of a dataset."""
    return find((pixels for pixels, _ in dataset.batches(64)), len(dataset))


def find(batches: Iterable[NDArray[np.uint8]], n: int) -> ForegroundMasks:
    """Find the foreground of every image; about 0.07 s per image and core.

    Parameters
    ----------
    batches : network inputs (b, s, s, 3) uint8, n images in all.
    """
    bits = np.empty((n, (SIDE * SIDE + 7) // 8), np.uint8)
    with progress.work("finding the foreground", n, "images") as work:
        for i, mask in enumerate(in_order(foreground_mask, (pixels for batch in batches for pixels in batch))):
            bits[i] = np.packbits(mask.ravel())
            work.advance()
    return ForegroundMasks(bits)


def foreground_mask(pixels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """(s, s, 3) uint8 to (SIDE, SIDE): the largest connected region of the foreground; deterministic.

    The whole image if it has almost no contrast or the foreground found is almost empty.
    """
    import cv2

    small = np.asarray(Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BOX))
    whole = np.ones((SIDE, SIDE), np.bool_)
    if int(np.ptp(small)) < _CONTRAST:
        return whole
    mask = _start()
    cv2.setRNGSeed(0)  # per thread; GrabCut initialises its clusters at random
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(_channels(small), mask, (0, 0, 0, 0), *models, _ITERATIONS, cv2.GC_INIT_WITH_MASK)
    foreground = ((mask == cv2.GC_FGD) | (mask == cv2.GC_PR_FGD)).astype(np.uint8)
    pieces, labels, sizes, _ = cv2.connectedComponentsWithStats(foreground)
    if pieces < 2:
        return whole
    largest: NDArray[np.bool_] = labels == 1 + int(np.argmax(sizes[1:, cv2.CC_STAT_AREA]))
    return largest if largest.mean() >= _LEAST else whole


def _start() -> NDArray[np.uint8]:
    """The initial GrabCut mask, the same for every image: sure and probable foreground and background."""
    import cv2

    mask = np.full((SIDE, SIDE), cv2.GC_PR_BGD, np.uint8)
    mask[_ellipse(*_LIKELY)] = cv2.GC_PR_FGD
    # Without sure foreground, GrabCut found none in a third of the images.
    mask[_ellipse(*_SURE)] = cv2.GC_FGD
    edge = round(SIDE * _EDGE)
    # Not along the bottom: a person shown from the waist up touches it.
    mask[:edge] = mask[:, :edge] = mask[:, -edge:] = cv2.GC_BGD
    return mask


def _ellipse(width: float, height: float) -> NDArray[np.bool_]:
    """A centred ellipse; the half axes are fractions of the image side."""
    rows, columns = _from_middle()
    inside: NDArray[np.bool_] = np.hypot(columns / width, rows / height) <= SIDE
    return inside


def _from_middle() -> NDArray[np.float64]:
    """(2, SIDE, SIDE) offsets of every pixel from the centre, in rows and columns."""
    distances: NDArray[np.float64] = np.mgrid[0:SIDE, 0:SIDE] - (SIDE - 1) / 2
    return distances


def _channels(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The three channels for GrabCut. A grey image has one: its blur and the distance to the centre replace the others.

    On 48 renderings turned grey, the mask overlaps with that of the colour image by 0.77.
    """
    import cv2

    if int(np.ptp(pixels.astype(np.int16), axis=2).max()) > 2:
        return pixels
    grey = np.ascontiguousarray(pixels[..., 0])
    rows, columns = np.abs(_from_middle()) / (SIDE / 2)
    way = 42 * columns + 30 * rows  # the foreground is usually at least as high as wide
    stacked: NDArray[np.uint8] = np.dstack([grey, cv2.GaussianBlur(grey, (0, 0), SIDE / 25), way.astype(np.uint8)])
    return stacked
