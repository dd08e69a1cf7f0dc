"""How well numbers about images predict their class on images that were held out."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SEED = 0

MOST_COMPUTED = 1000
_computed: dict[bytes, float] = {}
"""AUC by the hash of the numbers it is of."""

Folds = Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]]
"""Positions of the images to fit on and of those to test on."""


def grouped_folds(labels: NDArray[np.int64], groups: NDArray[np.int64], n: int) -> Folds:
    """``n`` folds with about the same share of each class; no group is on both sides of a fold."""
    from sklearn.model_selection import StratifiedGroupKFold

    splitter = StratifiedGroupKFold(n, shuffle=True, random_state=SEED)
    return list(splitter.split(np.zeros(len(labels)), labels, groups))


def forest_auc(values: NDArray[np.float64], labels: NDArray[np.int64], folds: Folds) -> float:
    """AUC of a small forest on the held-out part of each fold; the mean over folds that hold every class.

    For several classes it is the mean of each against the rest. 0.5 is chance. It is computed once in a process for the
    same numbers: images are often scanned before they are trained on, and trained on more than once.

    Parameters
    ----------
    values : (n, d) numbers about each image.
    labels : (n,) from 0 up.
    """
    digest = hashlib.sha256(repr((values.shape, [len(test) for _, test in folds])).encode())
    for numbers in (values, labels, *(part for fold in folds for part in fold)):
        digest.update(numbers.tobytes())
    key = digest.digest()
    if key not in _computed:
        if len(_computed) >= MOST_COMPUTED:
            _computed.clear()
        _computed[key] = _forest_auc(values, labels, folds)
    return _computed[key]


def _forest_auc(values: NDArray[np.float64], labels: NDArray[np.int64], folds: Folds) -> float:
    from sklearn.ensemble import ExtraTreesClassifier
    from sklearn.metrics import roc_auc_score

    classes = int(labels.max()) + 1
    found, weights = [], []
    for train, test in folds:
        if len(np.unique(labels[train])) < classes or len(np.unique(labels[test])) < classes:
            continue
        forest = ExtraTreesClassifier(
            20, min_samples_leaf=max(2, len(train) // 200), max_features=None, random_state=SEED
        )
        p = forest.fit(values[train], labels[train]).predict_proba(values[test])
        given = p[:, 1] if classes == 2 else p
        found.append(roc_auc_score(labels[test], given, multi_class="ovr", average="macro"))
        weights.append(len(test))
    return float(np.average(found, weights=weights)) if found else 0.5


def chance(per_class: Sequence[int]) -> float:
    """Standard error of an AUC by chance, from the number of independent groups in each class.

    That of the Mann-Whitney U statistic (Hanley & McNeil 1982); for several classes the mean over each against the
    rest.
    """
    whole = sum(per_class)
    errors = [np.sqrt((whole + 1) / (12 * n * (whole - n))) for n in per_class]
    return float(np.mean(errors))
