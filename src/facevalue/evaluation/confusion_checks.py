"""What a table of truth against decision says that its accuracy does not: classes never said, labels exchanged."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from facevalue.evidence.findings import Finding, finding

SURE = 0.01
"""Chance below which something is taken for no chance."""


def never_predicted(classes: Sequence[str], confusion: NDArray[np.int64]) -> list[Finding]:
    """A warning for classes that have images and are never, or hardly ever, decided for: none where there is none.

    Parameters
    ----------
    confusion : (k, k) counts; rows are the truth, columns the decision.
    """
    truth, decided, right = confusion.sum(axis=1), confusion.sum(axis=0), np.diag(confusion)
    n = int(truth.sum())
    silent = [i for i in range(len(classes)) if truth[i] and not decided[i]]
    wrong = [i for i in range(len(classes)) if truth[i] and decided[i] and not right[i]]
    found = []
    if silent:
        images = int(truth[silent].sum())
        text = (
            f"{_named(classes, silent)} never predicted: the model decides for another class on all {images} images of "
            f"{'it' if len(silent) == 1 else 'them'}; accuracy alone hides that, so read recall and balanced accuracy"
        )
        found.append(finding("class-never-predicted", text, labels=tuple(classes[i] for i in silent), n=images))
    if wrong:
        text = f"{_named(classes, wrong)} never recognised: every decision for or on it is wrong"
        found.append(finding("class-never-recognised", text, labels=tuple(classes[i] for i in wrong)))
    usual = int(truth.max()) if n else 0
    if (truth > 0).sum() > 1 and usual > int(right.sum()):
        name = classes[int(truth.argmax())]
        text = f"the model is right on {int(right.sum())} of {n} images; always answering {name!r} would be on {usual}"
        found.append(finding("no-better-than-one-answer", text, right=int(right.sum()), n=n, label=name, usual=usual))
    return found


def exchanged(classes: Sequence[str], confusion: NDArray[np.int64]) -> Finding | None:
    """A warning where the labels are likely those of other classes: ``None`` where nothing points to that.

    The model's decisions are matched with the labels in the way that fits best (Kuhn 1955). Where that is not the given
    way, and the two differ by more than chance by a sign test, classes were exchanged, in the images or in the model.
    """
    from scipy.optimize import linear_sum_assignment
    from scipy.stats import binomtest

    rows, best = linear_sum_assignment(-confusion)
    right, fitting = int(np.trace(confusion)), int(confusion[rows, best].sum())
    moved = [int(i) for i in rows if best[i] != i and confusion[i, best[i]] > 0]
    # Only on images of classes that move do the two ways differ.
    given = int(sum(confusion[i, i] for i in rows if best[i] != i))
    other = int(sum(confusion[i, best[i]] for i in moved))
    if not moved or binomtest(other, other + given, 0.5, alternative="greater").pvalue >= SURE:
        return None
    pairs = ", ".join(f"{classes[i]!r} is mostly decided as {classes[best[i]]!r}" for i in moved[:3])
    n = int(confusion.sum())
    text = f"labels seem exchanged: {right} of {n} decisions are right as labelled, {fitting} if exchanged: {pairs}"
    return finding("labels-exchanged", text, right=right, exchanged=fitting, n=n)


def no_better_than_chance(confusion: NDArray[np.int64]) -> bool:
    """Whether decisions and labels have nothing to do with each other, as far as these images can tell.

    A permutation test of how many decisions are right, with as many images and decisions of each class.
    """
    truth = np.repeat(np.arange(len(confusion)), confusion.sum(axis=1))
    decided = np.concatenate([np.repeat(np.arange(len(row)), row) for row in confusion])
    right, draws = int((truth == decided).sum()), 2000
    rng = np.random.default_rng(0)
    as_good = sum(int((truth == rng.permutation(decided)).sum()) >= right for _ in range(draws))
    return (1 + as_good) / (1 + draws) > 0.05


def _named(classes: Sequence[str], which: Sequence[int]) -> str:
    names = ", ".join(repr(classes[i]) for i in which[:3])
    more = f" and {len(which) - 3} more" if len(which) > 3 else ""
    return f"{'class' if len(which) == 1 else 'classes'} {names}{more} {'is' if len(which) == 1 else 'are'}"
