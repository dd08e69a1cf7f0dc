"""The classes that a model predicts worst: what fits on a page if a model has hundreds of classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from facevalue.evaluation import metrics
from facevalue.evidence.records import Interval

SHOWN = 10
"""Classes shown at most; models with more classes show only the worst."""


@dataclass(frozen=True)
class WorstClass:
    """A class with its recall, and the wrong class that it is predicted as most often.

    Attributes
    ----------
    label : the class.
    n, right : images of it, and those predicted correctly.
    recall, recall_ci : share of ``right``, and its 95 % interval.
    taken_for, times : the most frequent wrong prediction, and how often; ``None`` and 0 if there is none.
    """

    label: str
    n: int
    right: int
    recall: float
    recall_ci: Interval
    taken_for: str | None
    times: int


def worst_classes(
    classes: Sequence[str], confusion: Sequence[Sequence[int]], most: int = SHOWN
) -> tuple[WorstClass, ...]:
    """The classes with the lowest recall, the worst first, and of equal ones those with more images.

    Parameters
    ----------
    confusion : (k, k) counts; rows are the true classes, columns the predictions. Classes without images are left out.
    """
    found = []
    for i, (label, row) in enumerate(zip(classes, confusion, strict=True)):
        n = sum(row)
        if not n:
            continue
        wrong = [(count, -j) for j, count in enumerate(row) if j != i and count]
        times, j = max(wrong, default=(0, 0))
        taken_for = classes[-j] if times else None
        found.append(WorstClass(label, n, row[i], row[i] / n, metrics.wilson(row[i], n), taken_for, times))
    return tuple(sorted(found, key=lambda c: (c.recall, -c.n))[:most])
