"""Labels that are likely wrong: confident learning on predictions for images that were held out."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facevalue.errors import DataError, MissingExtraError

_FOLDS = 5
_STRENGTH = 1e-3  # inverse penalty, times 1000 over n; a quick probe, not a tuned one


@dataclass(frozen=True)
class Suspect:
    """An image whose label is likely wrong.

    Attributes
    ----------
    suggested : what held-out prediction takes it for.
    probability : of its own label, in [0, 1].
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
    """Suspects, the likeliest errors first.

    A logistic regression on the features predicts each image without having seen its group; confident learning
    (Northcutt et al. 2021, arXiv:1911.00068, as cleanlab computes it) says which labels those predictions contradict.

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
        warnings.simplefilter("ignore")  # about classes that are hard to tell, which is what is asked
        ranked = find_label_issues(labels, p, return_indices_ranked_by="self_confidence", n_jobs=1)
    return tuple(
        Suspect(paths[i], classes[labels[i]], classes[int(p[i].argmax())], float(p[i, labels[i]])) for i in ranked
    )


def held_out_probabilities(
    features: NDArray[np.float64], labels: NDArray[np.int64], groups: Sequence[str], classes: int
) -> NDArray[np.float64]:
    """(n, k) probabilities, each from a fit that had none of the image's group."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold

    names = np.unique(np.asarray(groups, str), return_inverse=True)[1]
    fewest = min(len(np.unique(names[labels == c])) for c in range(classes))
    if fewest < 2:
        raise DataError("labels can only be checked where every class has at least two independent groups of images")
    p = np.zeros((len(labels), classes))
    splitter = StratifiedGroupKFold(min(_FOLDS, fewest), shuffle=True, random_state=0)
    for train, test in splitter.split(features, labels, names):
        mean = features[train].mean(0)
        scale = max(float(np.sqrt(features[train].var(0).mean())), 1e-12)
        model = LogisticRegression(max_iter=300, C=_STRENGTH * 1000 / len(train))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit((features[train] - mean) / scale, labels[train])
        p[np.ix_(test, model.classes_)] = model.predict_proba((features[test] - mean) / scale)
    return p
