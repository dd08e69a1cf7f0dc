"""Metrics from labels and probabilities: pure functions on NumPy arrays.

Functions use scikit-learn and scipy where these have the metric; a comment says why the others do not. The libraries
are imported inside the functions, because importing scikit-learn takes about a second.

``y`` is (n,) int, the class index; ``p`` is (n, k) float, calibrated probabilities whose rows sum to 1. Rates are in
[0, 1]. Intervals have 95 % confidence by default.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facevalue.evidence.records import Bin, Interval

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]

_EPS = 1e-12


def wilson(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """Wilson score interval for a proportion (Wilson 1927, JASA 22:209).

    >>> [round(x, 4) for x in wilson(95, 100)]
    [0.8882, 0.9785]
    """
    from scipy.stats import binomtest

    if n == 0:  # scipy raises an error
        return (0.0, 1.0)
    low, high = binomtest(successes, n).proportion_ci(confidence, method="wilson")
    return (float(low), float(high))


def exact(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """Exact interval for a proportion (Clopper & Pearson 1934, Biometrika 26:404).

    >>> [round(x, 4) for x in exact(0, 100)]
    [0.0, 0.0362]
    """
    from scipy.stats import binomtest

    if n == 0:  # scipy raises an error
        return (0.0, 1.0)
    low, high = binomtest(successes, n).proportion_ci(confidence, method="exact")
    return (float(low), float(high))


def mean_of_rates(counts: Sequence[tuple[int, int]], confidence: float = 0.95) -> Interval:
    """Interval of the mean of independent proportions, each (successes, n), from their Wilson intervals.

    The square-and-add rule (MOVER: Zou & Donner 2008, Statistics in Medicine 27:1693). Unlike a bootstrap interval it
    keeps a positive width if every rate is 0 or 1.

    >>> [round(x, 3) for x in mean_of_rates([(20, 20), (20, 20)])]
    [0.886, 1.0]
    """
    # Ours: neither scipy nor statsmodels has MOVER for a mean of rates.
    rates = [right / n for right, n in counts]
    intervals = [wilson(right, n, confidence) for right, n in counts]
    centre, k = sum(rates) / len(rates), len(rates)
    below = sum((rate - low) ** 2 for rate, (low, _) in zip(rates, intervals, strict=True)) ** 0.5 / k
    above = sum((high - rate) ** 2 for rate, (_, high) in zip(rates, intervals, strict=True)) ** 0.5 / k
    return (max(0.0, centre - below), min(1.0, centre + above))


def difference_of_rates(a: tuple[int, int], b: tuple[int, int], confidence: float = 0.95) -> Interval:
    """Interval of the difference of two rates (first minus second) on different images, each (successes, n).

    Newcombe's method 10 (1998, Statistics in Medicine 17:873), from the two Wilson intervals.

    >>> [round(x, 4) for x in difference_of_rates((56, 70), (48, 80))]
    [0.0524, 0.3339]
    """
    # Ours: statsmodels has it, but would add 65 MB and further dependencies for one formula.
    p, q = a[0] / a[1], b[0] / b[1]
    (p_low, p_high), (q_low, q_high) = wilson(*a, confidence), wilson(*b, confidence)
    below, above = ((p - p_low) ** 2 + (q_high - q) ** 2) ** 0.5, ((p_high - p) ** 2 + (q - q_low) ** 2) ** 0.5
    return (max(-1.0, p - q - below), min(1.0, p - q + above))


def difference_of_paired_rates(both: int, first: int, second: int, neither: int, confidence: float = 0.95) -> Interval:
    """Interval of the difference of two rates (first minus second) on the same images.

    Newcombe's method 10 for pairs (1998, Statistics in Medicine 17:2635): as for different images, reduced by the
    correlation of the pairs with a continuity correction.

    Parameters
    ----------
    both, first, second, neither : number of images right in both, only in the first, only in the second, in neither.

    >>> [round(x, 3) for x in difference_of_paired_rates(both=1, first=1, second=7, neither=12)]
    [-0.507, -0.026]
    """
    # Ours: neither scipy nor statsmodels has an interval of paired proportions.
    n = both + first + second + neither
    a, b = both + first, both + second
    p, q = a / n, b / n
    (p_low, p_high), (q_low, q_high) = wilson(a, n, confidence), wilson(b, n, confidence)
    product, margins = both * neither - first * second, a * (n - a) * b * (n - b)
    corrected = max(product - n / 2, 0.0) if product > 0 else float(product)
    phi = corrected / margins**0.5 if margins else 0.0

    def half(u: float, v: float) -> float:
        return float(max(0.0, u * u - 2 * phi * u * v + v * v) ** 0.5)

    return (max(-1.0, p - q - half(p - p_low, q_high - q)), min(1.0, p - q + half(p_high - p, q - q_low)))


def auroc_interval(area: float, positives: int, negatives: int, confidence: float = 0.95) -> Interval:
    """Score-like interval of an area under the ROC curve, two classes.

    Newcombe's method 5 (2006, Statistics in Medicine 25:559): the areas at a distance of ``z`` of their own standard
    errors (Hanley & McNeil's, with the mean class size) from the measured one. Its width is positive even at 1.

    >>> [round(x, 3) for x in auroc_interval(1.0, 20, 20)]
    [0.899, 1.0]
    """
    # Ours: no library has it; bootstrap and DeLong's interval have width 0 if the area is 1.
    from statistics import NormalDist

    from scipy.optimize import brentq

    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    m, n = positives, negatives
    star = (m + n) / 2 - 1

    def away(theta: float) -> float:
        spread = 1 + star * (1 - theta) / (2 - theta) + star * theta / (1 + theta)
        return abs(area - theta) - z * float((theta * (1 - theta) * spread / (m * n)) ** 0.5)

    low = 0.0 if area <= 0 else brentq(away, 0.0, area - 1e-12)
    high = 1.0 if area >= 1 else brentq(away, area + 1e-12, 1.0)
    return (float(low), float(high))


def mean_interval(values: Floats, least: float, most: float, confidence: float = 0.95) -> Interval | None:
    """Student's t interval of the mean of independent values in [least, most]; ``None`` for fewer than two values."""
    n = len(values)
    if n < 2:
        return None
    from scipy.stats import t

    half = float(t.ppf(0.5 + confidence / 2, n - 1) * values.std(ddof=1) / n**0.5)
    return (max(least, float(values.mean()) - half), min(most, float(values.mean()) + half))


def bootstrap(
    statistic: Callable[[Ints], float],
    n: int,
    *,
    draws: int = 500,
    seed: int = 0,
    confidence: float = 0.95,
    around: float | None = None,
) -> Interval:
    """Bootstrap interval over images (Efron 1979): ``statistic`` takes (n,) indices drawn with replacement.

    Draws with an undefined statistic (NaN, e.g. a class is missing) are skipped. By default the percentile interval;
    with ``around`` (the statistic of all images) the basic interval, for figures that resampling biases upwards, such
    as a calibration error. Both ends are at least 0.
    """
    # Ours: scipy's returns NaN if one draw is undefined, and refuses a single image. Otherwise the results are equal.
    rng = np.random.default_rng(seed)
    values = np.array([statistic(rng.integers(0, n, n)) for _ in range(draws)])
    values = values[np.isfinite(values)]
    if values.size == 0:
        return (0.0, 1.0)
    tail = (1 - confidence) / 2
    low, high = (float(end) for end in np.quantile(values, [tail, 1 - tail]))
    if around is not None:
        low, high = 2 * around - high, max(around, 2 * around - low)
    return (max(0.0, low), high)


def confusion(y: ArrayLike, decided: ArrayLike, k: int) -> NDArray[np.int64]:
    """(k, k) counts; rows are the true classes, columns the predictions.

    >>> confusion([0, 0, 1], [0, 1, 1], 2).tolist()
    [[1, 1], [0, 1]]
    """
    # Ours: attacks count batch by batch and should not import scikit-learn for it.
    table = np.zeros((k, k), np.int64)
    np.add.at(table, (np.asarray(y), np.asarray(decided)), 1)
    return table


def balanced_accuracy(y: Ints, decided: Ints) -> float:
    """Mean recall over the classes that occur in ``y``."""
    from sklearn.metrics import recall_score

    # Not balanced_accuracy_score: it warns if a class is predicted that does not occur.
    return float(recall_score(y, decided, labels=np.unique(y), average="macro"))


def auroc(y: Ints, p: Floats, positive: int | None = None) -> float:
    """Area under the ROC curve; for more than two classes the macro mean of one-versus-rest areas.

    NaN if a class does not occur.
    """

    # Ours: the bootstrap calls it 500 times, and scikit-learn's takes 20 times as long for 500 images.
    def one(is_positive: NDArray[np.bool_], score: Floats) -> float:
        m = int(is_positive.sum())
        if m == 0 or m == len(is_positive):
            return float("nan")
        _, value, count = np.unique(score, return_inverse=True, return_counts=True)
        ranks = (np.cumsum(count) - (count - 1) / 2)[value]  # from 1; equal scores share their mean rank
        return float((ranks[is_positive].sum() - m * (m + 1) / 2) / (m * (len(is_positive) - m)))

    if positive is not None:
        return one(y == positive, p[:, positive])
    return float(np.mean([one(y == c, p[:, c]) for c in range(p.shape[1])]))


def average_precision(y: Ints, p: Floats, positive: int | None = None) -> float:
    """Average precision (step-wise area under the precision-recall curve); macro mean for more than two classes.

    NaN if a class does not occur.
    """
    from sklearn.metrics import average_precision_score

    columns = [positive] if positive is not None else range(p.shape[1])
    truths = [y == c for c in columns]
    if not all(truth.any() for truth in truths):
        return float("nan")
    return float(np.mean([average_precision_score(truth, p[:, c]) for truth, c in zip(truths, columns, strict=True)]))


def nll(y: Ints, p: Floats) -> float:
    """Mean negative log-likelihood of the true class, in nats; probabilities are clipped to at least 1e-12."""
    from sklearn.metrics import log_loss

    return float(log_loss(y, np.clip(p, _EPS, 1), labels=range(p.shape[1])))


def brier(y: Ints, p: Floats) -> float:
    """Brier score (Brier 1950): mean squared distance to the one-hot truth, in [0, 2]."""
    from sklearn.metrics import brier_score_loss

    return float(brier_score_loss(y, p, labels=range(p.shape[1]), scale_by_half=False))


def ece(y: Ints, p: Floats, bins: int = 15) -> float:
    """Expected calibration error of the top class over equal-width bins (Guo et al. 2017, arXiv:1706.04599)."""
    # Ours: scikit-learn has no ECE, and its calibration_curve takes only two classes.
    return sum(b.n * abs(b.accuracy - b.confidence) for b in reliability(y, p, bins)) / max(1, len(y))


def reliability(y: Ints, p: Floats, bins: int = 15) -> tuple[Bin, ...]:
    """The non-empty bins of the reliability diagram of the top class."""
    confidence = p.max(axis=1)
    right = p.argmax(axis=1) == y
    where = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    return tuple(
        Bin(
            low=b / bins,
            high=(b + 1) / bins,
            n=int((where == b).sum()),
            confidence=float(confidence[where == b].mean()),
            accuracy=float(right[where == b].mean()),
        )
        for b in range(bins)
        if (where == b).any()
    )
