"""Find labels that are likely wrong, by confident learning on held-out predictions."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facevalue.errors import DataError, MissingExtraError
from facevalue.support import progress
from facevalue.support.few_images import sure_of_classes

_FOLDS = 5
_STRENGTH = 1e-3  # inverse penalty for 1000 images, scaled by 1000 / n; not tuned


@dataclass(frozen=True)
class Suspect:
    """An image whose label is likely wrong.

    Attributes
    ----------
    suggested : the class that the held-out prediction gives.
    probability : held-out probability of the given label, in [0, 1].
    """

    path: str
    label: str
    suggested: str
    probability: float


def find_suspects(
    features: NDArray[np.float64],
    labels: NDArray[np.int64],
    groups: Sequence[str],
    paths: Sequence[str],
    classes: Sequence[str],
) -> tuple[Suspect, ...]:
    """Images with likely wrong labels, the most likely first.

    A logistic regression on the features predicts each image; it is fitted without the image's group. Confident
    learning (Northcutt et al. 2021, arXiv:1911.00068, in cleanlab) finds the labels that these predictions contradict.

    Parameters
    ----------
    features : (n, d) of a network.
    labels : (n,) indices into ``classes``.

    Raises
    ------
    DataError
        A class has fewer than two groups.
    MissingExtraError
        cleanlab is not installed.
    """
    try:
        from cleanlab.filter import find_label_issues
    except ImportError as error:
        raise MissingExtraError("cleanlab", "train") from error
    p = held_out_probabilities(features, labels, groups, len(classes))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # cleanlab warns of classes that are hard to separate, which is expected here
        ranked = find_label_issues(labels, p, return_indices_ranked_by="self_confidence", n_jobs=1)
    return tuple(
        Suspect(paths[i], classes[labels[i]], classes[int(p[i].argmax())], float(p[i, labels[i]])) for i in ranked
    )


@sure_of_classes()
def held_out_probabilities(
    features: NDArray[np.float64], labels: NDArray[np.int64], groups: Sequence[str], classes: int
) -> NDArray[np.float64]:
    """(n, k) probabilities, each from a fit without the image's group."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold

    names = np.unique(np.asarray(groups, str), return_inverse=True)[1]
    fewest = min(len(np.unique(names[labels == c])) for c in range(classes))
    if fewest < 2:
        raise DataError("to check labels, every class needs at least two independent groups of images")
    p = np.zeros((len(labels), classes))
    n = min(_FOLDS, fewest)
    splits = StratifiedGroupKFold(n, shuffle=True, random_state=0).split(features, labels, names)
    for train, test in progress.track(splits, "checking labels", total=n, unit="folds"):
        mean = features[train].mean(0)
        scale = max(float(np.sqrt(features[train].var(0).mean())), 1e-12)
        model = LogisticRegression(max_iter=300, C=_STRENGTH * 1000 / len(train))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit((features[train] - mean) / scale, labels[train])
        p[np.ix_(test, model.classes_)] = model.predict_proba((features[test] - mean) / scale)
    return p
