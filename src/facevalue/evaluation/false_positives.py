"""Two thresholds for two classes, so that wrong accusations stay rare in every source of negatives.

The Neyman-Pearson umbrella algorithm (Tong, Feng & Li 2018, arXiv:1607.00383): the upper threshold is an order
statistic of the negatives' probabilities, such that the rate of negatives above it is too high with a probability of at
most 1 - certainty. It assumes only that negatives in use are like those of the source.

An image group counts once, with its highest probability: what is bounded is the rate of groups (people, renderings)
with any image above the threshold.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from facevalue.evaluation.exact_bounds import fewest, most_wrong, upper_bound
from facevalue.evaluation.stated_error import CERTAINTY, DIGITS, NEVER
from facevalue.evidence.stated_limits import AccusedImages, FalsePositives

Scores = tuple[NDArray[np.float64], NDArray[np.int64]]
"""(n,) scores and the number of each image's group."""

POOLED = "all others"
"""Name of the sources together that are too small on their own."""


def bound_false_positives(
    negatives: Mapping[str, Mapping[str, Scores]],
    positives: Mapping[str, Scores],
    rate: float,
    certainty: float = CERTAINTY,
) -> FalsePositives:
    """The upper and the lower threshold.

    Parameters
    ----------
    negatives : probabilities of the positive class, by source and condition.
    positives : the same of the images of the positive class, by condition.
    rate : largest share of a source's negatives above the upper threshold, and of positives below the lower one.

    Returns
    -------
    The record for the card. Where a source is too small, ``upper`` is :data:`NEVER`: no image is called positive.
    Where there are too few positives, ``lower`` is ``None``.
    """
    alpha = 1 - certainty
    uppers = {name: [_threshold(s, rate, alpha) for s in scores.values()] for name, scores in negatives.items()}
    upper = max((limit for limits in uppers.values() for limit in limits), default=NEVER)
    below = [_threshold((1 - p, groups), rate, alpha) for p, groups in positives.values()]
    lower = None if max(below, default=NEVER) >= NEVER else round(1 - max(below), DIGITS)
    needed = fewest(0, rate, alpha)
    smallest = {
        name: min((len(np.unique(groups)) for _, groups in scores.values()), default=0)
        for name, scores in negatives.items()
    }
    return FalsePositives(
        rate=rate,
        certainty=certainty,
        kept=upper < NEVER,
        upper=upper,
        lower=lower,
        sources={
            name: {condition: _figures(s, upper, alpha) for condition, s in scores.items()}
            for name, scores in negatives.items()
        },
        positives={}
        if lower is None
        else {name: _figures((1 - p, groups), max(below), alpha) for name, (p, groups) in positives.items()},
        more={name: needed - n for name, n in smallest.items() if n < needed},
    )


def sources_to_bound(
    sources: Sequence[str], groups: NDArray[np.int64], rate: float, certainty: float = CERTAINTY
) -> dict[str, NDArray[np.bool_]]:
    """(n,) masks of the negatives that are bounded together, by name.

    Each source with enough groups for a bound; the others together as :data:`POOLED`; and all negatives, without a
    name, where the others together are too few or no source is known.
    """
    needed = fewest(0, rate, 1 - certainty)
    names = np.array(sources if len(sources) else [""] * len(groups), dtype=object)
    known = [str(name) for name in dict.fromkeys(names) if name]
    large = [name for name in known if len(np.unique(groups[names == name])) >= needed]
    found = {name: names == name for name in large}
    others = ~np.isin(names, large)
    if others.any():
        enough = bool(large) and len(np.unique(groups[others])) >= needed
        found[POOLED if enough else ""] = others if enough else np.ones(len(names), bool)
    return found


def _threshold(scores: Scores, rate: float, alpha: float) -> float:
    """The lowest threshold, rounded up, that few enough groups reach; :data:`NEVER` if there are too few groups."""
    highest = _of_groups(scores)
    allowed = most_wrong(len(highest), rate, alpha)
    if allowed < 0:
        return NEVER
    scale = 10**DIGITS
    above = math.floor(float(highest[allowed]) * scale) + 1
    return above / scale if above < scale else NEVER


def _of_groups(scores: Scores) -> NDArray[np.float64]:
    """The highest score of each group, in descending order."""
    p, groups = scores
    _, number = np.unique(groups, return_inverse=True)
    highest = np.full(number.max(initial=-1) + 1, -np.inf)
    np.maximum.at(highest, number, p)
    return np.sort(highest)[::-1]


def _figures(scores: Scores, threshold: float, alpha: float) -> AccusedImages:
    highest = _of_groups(scores)
    n, reached = len(highest), int((highest >= threshold).sum())
    return AccusedImages(
        n=len(scores[0]), groups=n, reached=reached, upper=upper_bound(reached, n, alpha) if n else 1.0
    )
