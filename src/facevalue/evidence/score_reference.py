"""The calibration split's scores, small enough for the card: what the drift alarm compares traffic with."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from facevalue.evidence.record import Record

STEP = 1.02
"""Ratio of neighbouring bins' edges: scores that differ by 2 % or more fall into different bins."""

LOWEST, HIGHEST = -700, 1400
"""First and last bin: 1e-6 to 1e12."""

Counts = dict[str, int]
"""How many scores are in a bin, by the bin's number. JSON has no numbers as keys."""


def bin_of(score: float) -> int:
    """The bin of a score >= 0, on a grid that is fixed beforehand.

    That no edge depends on data keeps the calibration images and the traffic exchangeable, so that the alarm's
    guarantee is exact (see :mod:`facevalue.runtime.drift`). A score that is no number counts as the highest.

    >>> bin_of(1.0), bin_of(1.021), bin_of(0.0), bin_of(float("nan"))
    (0, 1, -700, 1400)
    """
    if math.isnan(score):
        return HIGHEST
    if score <= 0:
        return LOWEST
    return min(HIGHEST, max(LOWEST, math.floor(math.log(score) / math.log(STEP)))) if score < math.inf else HIGHEST


def counted(scores: Iterable[float]) -> Counts:
    """Scores by bin.

    >>> counted([1.0, 1.001, 2.0])
    {'0': 2, '35': 1}
    """
    counts: Counts = {}
    for place in sorted(map(bin_of, scores)):
        counts[str(place)] = counts.get(str(place), 0) + 1
    return counts


def margins(logits: NDArray[np.floating]) -> NDArray[np.floating]:
    """(n,) how far the largest of (n, k) logits is above the second: confidence before the temperature.

    >>> margins(np.array([[1.0, 3.0, 0.5], [2.0, 2.0, 0.0]])).tolist()
    [2.0, 0.0]
    """
    top = np.partition(logits, -2, axis=1)[:, -2:]
    return top[:, 1] - top[:, 0]


class ScoreReference(Record, frozen=True):
    """Scores of images that the model was neither trained on nor evaluated with.

    Attributes
    ----------
    split : which images: ``calibration``.
    n : how many.
    novelty : distances from the training data, by :func:`bin_of`.
    margin : :func:`margins` of the logits, by :func:`bin_of`.
    detail : :func:`facevalue.data.input_facts.detail`, by :func:`bin_of`; empty if it was not measured.
    jpeg_quality : :func:`facevalue.data.input_facts.jpeg_quality`, by :func:`bin_of`; empty if it was not measured,
        or if there were no files.
    """

    split: str
    n: int
    novelty: Counts
    margin: Counts
    detail: Counts = {}
    jpeg_quality: Counts = {}

    @staticmethod
    def of(
        split: str,
        novelty: NDArray[np.floating],
        logits: NDArray[np.floating],
        detail: Sequence[float] = (),
        jpeg_quality: Sequence[float] = (),
    ) -> ScoreReference:
        """From (n,) distances, (n, k) logits before the temperature, and facts of the images where they are known."""
        return ScoreReference(
            split=split,
            n=len(novelty),
            novelty=counted(map(float, novelty)),
            margin=counted(map(float, margins(logits))),
            detail=counted(detail),
            jpeg_quality=counted(jpeg_quality),
        )
