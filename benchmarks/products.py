"""Gram matrices of texture features, from which any ridge regression on them is solved in seconds.

There are many times more features than images, so a study that varies training images, penalties or targets only needs
a matrix of a few thousand rows. Rows are images, and feature differences that should not change the scores.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from facevalue.data.dataset import ImageDataset
from facevalue.models.classifier import Classifier
from facevalue.models.features import Extractor

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]

QUARTERS = 4


def scale(x: NDArray[np.float32], known: NDArray[np.float32], kinds: Sequence[int]) -> None:
    """Scale features (…, d) in place as ``probe.scale = "kind"`` does, by the statistics of ``known`` (n, d)."""
    start, length = 0, 0.0
    for width in kinds:  # one kind at a time, to save memory
        part, own = x[..., start : start + width], known[:, start : start + width]
        level = own.mean(0)
        own = own - level
        unit = (own.std(0) + 1e-6 * own.std()) * width**0.25
        length += float(((own / unit) ** 2).sum(1).mean())
        part -= level
        part /= unit
        start += width
    x /= np.sqrt(length)


def products(classifier: Classifier, chosen: ImageDataset) -> NDArray[np.float32]:
    """(5n, 5n) Gram matrix: the rows are the images, then the deviations of their quarters."""
    x = Extractor(classifier, quarters=True).features(chosen).numpy()
    n, _, d = x.shape
    scale(x, x[:, 0], classifier.body.kinds)
    x[:, 1:] -= x[:, 1:].mean(1, keepdims=True)
    rows = np.concatenate([x[:, 0], x[:, 1:].reshape(n * QUARTERS, d)])
    del x
    return rows @ rows.T


def quarters_of(images: Ints, n: int) -> Ints:
    """Rows of the quarters of some images in :func:`products` of ``n`` images."""
    return (n + QUARTERS * images[:, None] + np.arange(QUARTERS)).ravel()


def centred(table: NDArray[np.float32], learned: Ints, n: int) -> NDArray[np.float32]:
    """The matrix for features centred on the mean of the ``learned`` images of ``n``; differences stay uncentred."""
    less = table.copy()
    less[:n] -= less[learned].mean(0)
    less[:, :n] -= less[:, learned].mean(1, keepdims=True)
    return less


def ridge(
    table: NDArray[np.float32],
    goals: Floats,
    learned: Ints,
    asked: Ints,
    strength: float,
    differences: Sequence[tuple[Ints, float]] = (),
) -> Floats:
    """Scores of the images ``asked`` by ridge regression on the images ``learned``.

    Parameters
    ----------
    table : see :func:`products`.
    goals : (n,) or (n, k) targets of the images.
    learned, asked : positions of training and test images.
    differences : rows of differences whose scores should be 0, and the weight of the square of each.
    """
    rows = np.concatenate([learned, *(places for places, _ in differences)])
    weights = np.ones(len(rows), np.float32)
    end = len(learned)
    for places, weight in differences:
        start, end = end, end + len(places)
        weights[start:end] = np.sqrt(weight)
    wanted = np.zeros((len(rows), *goals.shape[1:]), np.float32)
    wanted[: len(learned)] = goals[learned]
    inside = table[np.ix_(rows, rows)] * weights[:, None] * weights
    inside[np.diag_indices(len(rows))] += 1 / strength
    found = cho_solve(cho_factor(inside, overwrite_a=True), wanted)
    scores: Floats = (table[np.ix_(asked, rows)] * weights) @ found
    return scores
