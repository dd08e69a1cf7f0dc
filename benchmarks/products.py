"""Products of texture features with each other, from which any ridge regression on them is solved in seconds.

There are many times more features than pictures: what a study varies (pictures learned from, penalties, goals) is then
a matter of a few thousand rows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from facevalue.classifier import Classifier
from facevalue.data.pictures import Pictures
from facevalue.outputs import Extractor

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]

QUARTERS = 4


def products(classifier: Classifier, chosen: Pictures) -> NDArray[np.float32]:
    """(5n, 5n), of all rows with each other: rows are the pictures, then how their quarters deviate."""
    x = Extractor(classifier, quarters=True).features(chosen).numpy()
    n, _, d = x.shape
    start = 0
    for width in classifier.body.kinds:  # as probe.scale = "kind" does, a kind at a time, for memory
        part = x[:, :, start : start + width]
        part -= part[:, 0].mean(0)
        part /= (part[:, 0].std(0) + 1e-6 * part[:, 0].std()) * width**0.25
        start += width
    x /= np.sqrt((x[:, 0] ** 2).sum(1).mean())
    x[:, 1:] -= x[:, 1:].mean(1, keepdims=True)
    rows = np.concatenate([x[:, 0], x[:, 1:].reshape(n * QUARTERS, d)])
    del x
    return rows @ rows.T


def centred(table: NDArray[np.float32], learned: Ints) -> NDArray[np.float32]:
    """The same of features less the mean of the pictures ``learned``; quarters deviate from their own mean already."""
    n = len(table) // (1 + QUARTERS)
    less = table.copy()
    less[:n] -= less[learned].mean(0)
    less[:, :n] -= less[:, learned].mean(1, keepdims=True)
    return less


def ridge(
    table: NDArray[np.float32], goals: Floats, learned: Ints, asked: Ints, steady: float, strength: float
) -> Floats:
    """Scores of the pictures ``asked``, by what has learned from others.

    Parameters
    ----------
    table : see :func:`products`.
    goals : (n,) or (n, k), of all pictures.
    learned, asked : their places.
    """
    n = len(goals)
    quarters = (n + QUARTERS * learned[:, None] + np.arange(QUARTERS)).ravel() if steady else learned[:0]
    rows = np.concatenate([learned, quarters])
    weights = np.ones(len(rows), np.float32)
    weights[len(learned) :] = np.sqrt(steady / QUARTERS)
    wanted = np.concatenate([goals[learned], np.zeros((len(quarters), *goals.shape[1:]))]).astype(np.float32)
    inside = table[np.ix_(rows, rows)] * weights[:, None] * weights
    inside[np.diag_indices(len(rows))] += 1 / strength
    found = cho_solve(cho_factor(inside, overwrite_a=True), wanted)
    scores: Floats = (table[np.ix_(asked, rows)] * weights) @ found
    return scores
