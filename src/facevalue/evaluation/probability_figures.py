"""How well probabilities fit: calibration errors, Brier score and log loss, with bootstrap intervals over groups.

``y`` is (n,) the class index, ``p`` (n, k) the probabilities. All errors are weighted means over images, so that a
bootstrap draw is a vector of weights.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from facevalue.evaluation import metrics
from facevalue.evaluation.calibration_set import group_numbers
from facevalue.evidence.records import Interval, ProbabilityFigures

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BINS = 15
_CHANCE_DRAWS = 100
_SMALLEST = 1e-12


class Errors:
    """The five figures of probabilities, for any weights of the images.

    ``ece`` (Guo et al. 2017, arXiv:1706.04599) and ``ece_equal_mass`` (Nixon et al. 2019, arXiv:1904.01685) compare the
    confidence of the most probable class with accuracy, in 15 bins of equal width or of equal numbers of images; equal
    confidences share a bin. ``ece_classwise`` (Kull et al. 2019, arXiv:1910.12656) is the mean over classes of the same
    for the probability of each class. ``brier`` is the mean squared distance to the one-hot truth, ``nll`` the log loss
    in nats.
    """

    NAMES = ("ece", "ece_equal_mass", "ece_classwise", "brier", "nll")

    def __init__(self, y: Ints, p: Floats) -> None:
        n, k = p.shape
        self._confidence = p.max(axis=1)
        self._right = (p.argmax(axis=1) == y).astype(np.float64)
        self._bin = equal_width(self._confidence)
        _, self._rank = np.unique(self._confidence, return_inverse=True)
        truth = np.eye(k)[y]
        self._gap = truth - p
        self._cell = equal_width(p) + BINS * np.arange(k)
        self._squared = np.square(self._gap).sum(axis=1)
        self._loss = -np.log(np.clip(p[np.arange(n), y], _SMALLEST, 1))
        self._classes = k

    def at(self, weights: Floats) -> Floats:
        """(5,) the figures in the order of :attr:`NAMES`, with weights (n,)."""
        total = weights.sum()
        off = weights * (self._right - self._confidence)
        by_width = np.abs(np.bincount(self._bin, off)).sum()
        by_mass = np.abs(np.bincount(equal_mass(self._rank, weights), off)).sum()
        by_class = np.abs(np.bincount(self._cell.ravel(), (weights[:, None] * self._gap).ravel())).sum()
        sums = (by_width, by_mass, by_class / self._classes, weights @ self._squared, weights @ self._loss)
        figures: Floats = np.array(sums) / total
        return figures

    def by_chance(self) -> float:
        """The mean ``ece`` of labels drawn from the probabilities: that of perfect calibration on as many images.

        It is not 0, and large on few images (Vaicenavicius et al. 2019, arXiv:1902.06977).
        """
        rng = np.random.default_rng(0)
        n = len(self._confidence)
        drawn = rng.random((_CHANCE_DRAWS, n)) < self._confidence
        return float(np.mean([np.abs(np.bincount(self._bin, row - self._confidence)).sum() / n for row in drawn]))


def equal_width(p: Floats) -> Ints:
    """The bin, from 0, of each probability in :data:`BINS` bins (low, high] of equal width."""
    bins: Ints = np.clip(np.ceil(p * BINS).astype(np.int64) - 1, 0, BINS - 1)
    return bins


def equal_mass(rank: Ints, weights: Floats) -> Ints:
    """The bin, from 0, of each image in :data:`BINS` bins of equal weight; equal ranks share a bin.

    >>> equal_mass(np.arange(30), np.ones(30)).tolist()[:6]
    [0, 0, 1, 1, 2, 2]
    """
    mass = np.bincount(rank, weights)
    middle = np.cumsum(mass) - mass / 2
    bins: Ints = np.minimum(BINS * middle / mass.sum(), BINS - 1).astype(np.int64)[rank]
    return bins


def probability_figures(y: Ints, p: Floats, groups: Sequence[str] = (), draws: int | None = None) -> ProbabilityFigures:
    """The figures with 95 % intervals.

    Intervals are bootstrap intervals over groups, because images of a group are alike: basic intervals for calibration
    errors, which resampling biases upwards, and percentile intervals for Brier score and log loss.

    Parameters
    ----------
    groups : (n,) name of each image's group; "" where it is its own. Empty for no groups.
    draws : of the bootstrap; by default 500, and 100 for many images.
    """
    errors = Errors(y, p)
    number = group_numbers(groups, len(y))
    g = int(number.max()) + 1
    rng = np.random.default_rng(0)
    if draws is None:
        draws = 500 if len(y) <= 20_000 else 100
    weights = (np.bincount(rng.integers(0, g, g), minlength=g)[number].astype(np.float64) for _ in range(draws))
    drawn = np.array([errors.at(w) for w in weights if w.any()])
    value = dict(zip(Errors.NAMES, errors.at(np.ones(len(y))).tolist(), strict=True))
    low, high = (
        dict(zip(Errors.NAMES, end.tolist(), strict=True)) for end in np.quantile(drawn, [0.025, 0.975], axis=0)
    )

    def basic(name: str) -> Interval:
        here = value[name]
        return (max(0.0, 2 * here - high[name]), max(here, 2 * here - low[name]))

    return ProbabilityFigures(
        ece=value["ece"],
        ece_ci=basic("ece"),
        ece_by_chance=errors.by_chance(),
        ece_equal_mass=value["ece_equal_mass"],
        ece_equal_mass_ci=basic("ece_equal_mass"),
        ece_classwise=value["ece_classwise"],
        ece_classwise_ci=basic("ece_classwise"),
        brier=value["brier"],
        brier_ci=(low["brier"], high["brier"]),
        nll=value["nll"],
        nll_ci=(low["nll"], high["nll"]),
        reliability=metrics.reliability(y, p, BINS),
    )
