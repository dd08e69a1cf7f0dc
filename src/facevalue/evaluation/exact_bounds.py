"""Exact bounds of a rate from counts, and from counts in groups of images that are alike."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray


def p_value(wrong: float, n: float, rate: float) -> float:
    """Probability of at most ``wrong`` of ``n`` if each is wrong with probability ``rate``: the binomial tail.

    Through the incomplete beta function, so counts need not be whole numbers (see :func:`design_effect`).

    >>> round(p_value(0, 299, 0.01), 4)
    0.0495
    """
    from scipy.special import betainc

    if n <= 0 or wrong >= n:
        return 1.0
    return float(betainc(n - wrong, wrong + 1, 1 - rate))


def upper_bound(wrong: float, n: float, alpha: float = 0.05) -> float:
    """The one-sided Clopper-Pearson bound: the rate that is exceeded with a probability of at most ``alpha``.

    >>> round(upper_bound(0, 299), 4)
    0.01
    """
    from scipy.special import betaincinv

    return 1.0 if wrong >= n else float(betaincinv(wrong + 1, n - wrong, 1 - alpha))


@cache
def fewest(wrong: int, rate: float, alpha: float = 0.05) -> int:
    """The smallest n at which ``wrong`` of n still show, with confidence 1 - ``alpha``, a rate of at most ``rate``.

    >>> fewest(0, 0.01), fewest(1, 0.01)
    (299, 473)
    """
    low, high = wrong, wrong + 1
    while p_value(wrong, high, rate) > alpha:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if p_value(wrong, middle, rate) > alpha else (low, middle)
    return high


def most_wrong(n: int, rate: float, alpha: float = 0.05) -> int:
    """The largest number of ``n`` that still shows a rate of at most ``rate``; -1 if not even 0 does.

    >>> most_wrong(298, 0.01), most_wrong(299, 0.01), most_wrong(1000, 0.01)
    (-1, 0, 4)
    """
    wrong = -1
    while p_value(wrong + 1, n, rate) <= alpha:
        wrong += 1
    return wrong


def design_effect(
    wrong: NDArray[np.bool_], margin: NDArray[np.float64], groups: NDArray[np.int64], rate: float
) -> float:
    """By how much fewer independent images n images in groups are worth; 1 if every image is its own group.

    Kish's ``1 + (m - 1) r``, with the mean group size m of an image and the correlation r of errors within groups,
    times the correction for few groups of Korn & Graubard 1998. Divided by it, counts can be used in exact bounds.

    r is the larger of two estimates by analysis of variance: of the errors themselves, and, because rare errors tell
    little, of the margins, as normal scores: the correlation that errors at ``rate`` have if the margins of a group are
    jointly normal.

    Parameters
    ----------
    wrong : (n,) whether the answer is wrong.
    margin : (n,) how far the true class is above the others, on any scale.
    groups : (n,) number of the group.
    """
    from scipy.stats import norm, rankdata, t

    n = len(wrong)
    _, number, size = np.unique(groups, return_inverse=True, return_counts=True)
    g = len(size)
    if g == n or g < 2:
        return 1.0 if g == n else float(n)
    scores = norm.ppf((rankdata(margin) - 0.5) / n)
    of_errors = correlation_within(wrong.astype(np.float64), number)
    of_tails = correlation_of_tails(correlation_within(scores, number), rate)
    kish = 1 + (float(np.square(size).sum()) / n - 1) * max(of_errors, of_tails)
    return float(kish * (t.ppf(0.975, g - 1) / t.ppf(0.975, n - 1)) ** 2)


def correlation_within(values: NDArray[np.float64], groups: NDArray[np.int64]) -> float:
    """Intraclass correlation by analysis of variance, in [0, 1] (Donner 1986, International Statistical Review 54:67).

    Parameters
    ----------
    values : (n,).
    groups : (n,) numbers from 0, at least two different ones.
    """
    n = len(values)
    size = np.bincount(groups)
    g = len(size)
    mean = np.bincount(groups, values) / size
    between = (size * np.square(mean - values.mean())).sum() / (g - 1)
    within = np.square(values - mean[groups]).sum() / (n - g)
    usual = (n - np.square(size).sum() / n) / (g - 1)
    spread = between + (usual - 1) * within
    return float(np.clip((between - within) / spread, 0, 1)) if spread > 0 else 0.0


def correlation_of_tails(correlation: float, rate: float) -> float:
    """Correlation of two events of probability ``rate`` in the tails of normal variables with this ``correlation``.

    >>> round(correlation_of_tails(0.5, 0.01), 3), correlation_of_tails(0.0, 0.01)
    (0.121, 0.0)
    """
    from scipy.special import owens_t
    from scipy.stats import norm

    # Both events: Owen 1956, Annals of Mathematical Statistics 27:1075.
    both = rate - 2 * owens_t(norm.ppf(rate), np.sqrt((1 - correlation) / (1 + correlation)))
    return max(0.0, float(both - rate**2) / (rate * (1 - rate)))
