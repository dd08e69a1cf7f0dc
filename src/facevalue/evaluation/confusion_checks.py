"""Problems that a confusion matrix shows and accuracy hides: classes never predicted, labels exchanged."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from facevalue.evidence.findings import Finding, finding, named

SURE = 0.01
"""Significance level of the sign test for exchanged labels."""


def never_predicted(classes: Sequence[str], confusion: NDArray[np.int64]) -> list[Finding]:
    """Warnings about classes that are never predicted or never right, and about a model worse than a constant answer.

    Parameters
    ----------
    confusion : (k, k) counts; rows are the true classes, columns the predictions.
    """
    truth, decided, right = confusion.sum(axis=1), confusion.sum(axis=0), np.diag(confusion)
    n = int(truth.sum())
    silent = [i for i in range(len(classes)) if truth[i] and not decided[i]]
    wrong = [i for i in range(len(classes)) if truth[i] and decided[i] and not right[i]]
    found = []
    if silent:
        images = int(truth[silent].sum())
        text = (
            f"{_named(classes, silent)} never predicted: the model predicts another class on all {images} images of "
            f"{'it' if len(silent) == 1 else 'them'}; accuracy alone hides that, so read recall and balanced accuracy"
        )
        found.append(finding("class-never-predicted", text, labels=tuple(classes[i] for i in silent), n=images))
    if wrong:
        them = "it" if len(wrong) == 1 else "them"
        text = f"{_named(classes, wrong)} never recognised: every prediction for or on {them} is wrong"
        found.append(finding("class-never-recognised", text, labels=tuple(classes[i] for i in wrong)))
    usual = int(truth.max()) if n else 0
    if (truth > 0).sum() > 1 and usual > int(right.sum()):
        name = classes[int(truth.argmax())]
        text = f"the model is right on {int(right.sum())} of {n} images; always predicting {name!r} is right on {usual}"
        found.append(finding("no-better-than-one-answer", text, right=int(right.sum()), n=n, label=name, usual=usual))
    return found


def exchanged(classes: Sequence[str], confusion: NDArray[np.int64]) -> Finding | None:
    """A warning if labels seem to be exchanged between classes, else ``None``.

    Finds the assignment of predictions to labels that fits best (Kuhn 1955). If it differs from the given one by more
    than chance (sign test), classes were exchanged in the images or in the model. With more than two classes there are
    many assignments, and one of them fits by chance: it is then found on one half of the images, drawn at random, and
    tested on the other half.
    """
    from scipy.optimize import linear_sum_assignment
    from scipy.stats import binomtest

    found_on = tested_on = confusion
    if len(classes) > 2:
        found_on = np.random.default_rng(0).binomial(confusion, 0.5)
        tested_on = confusion - found_on
    rows, best = linear_sum_assignment(-found_on)
    right, fitting = int(np.trace(confusion)), int(confusion[rows, best].sum())
    moved = [int(i) for i in rows if best[i] != i and found_on[i, best[i]] > 0]
    # The two assignments differ only on images of the exchanged classes.
    given = int(sum(tested_on[i, i] for i in rows if best[i] != i))
    other = int(sum(tested_on[i, best[i]] for i in moved))
    if not other or binomtest(other, other + given, 0.5, alternative="greater").pvalue >= SURE:
        return None
    pairs = ", ".join(f"{classes[i]!r} is mostly predicted as {classes[best[i]]!r}" for i in moved[:3])
    n = int(confusion.sum())
    text = f"labels seem exchanged: {right} of {n} predictions are right as labelled, {fitting} if exchanged: {pairs}"
    return finding("labels-exchanged", text, right=right, exchanged=fitting, n=n)


def no_better_than_chance(confusion: NDArray[np.int64]) -> bool:
    """Whether predictions and labels are statistically independent on these images.

    A permutation test of the number of correct predictions, with the counts per class kept.
    """
    truth = np.repeat(np.arange(len(confusion)), confusion.sum(axis=1))
    decided = np.concatenate([np.repeat(np.arange(len(row)), row) for row in confusion])
    right, draws = int((truth == decided).sum()), 2000
    rng = np.random.default_rng(0)
    as_good = sum(int((truth == rng.permutation(decided)).sum()) >= right for _ in range(draws))
    return (1 + as_good) / (1 + draws) > 0.05


def _named(classes: Sequence[str], which: Sequence[int]) -> str:
    one = len(which) == 1
    return f"{'class' if one else 'classes'} {named([classes[i] for i in which])} {'is' if one else 'are'}"
