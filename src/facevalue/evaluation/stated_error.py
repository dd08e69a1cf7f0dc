"""The limit below which a model must abstain so that its answers keep a stated error.

Learn then test (Angelopoulos et al. 2021, arXiv:2110.01052) for selective prediction (Geifman & El-Yaniv 2017,
arXiv:1705.08500): limits are tested from the strictest on, each by an exact binomial test of «the error among answered
images is above the stated one».

- Several limits are tried, so a limit that passes by luck must be unlikely: limits form at most :data:`STARTS`
  sequences, which share the allowed risk. A sequence stops at the first limit that fails. One that has not failed when
  the next begins adds its risk to it (fallback procedure: Wiens 2003, Pharmaceutical Statistics 2:211). The numbers of
  answers at which limits are tested depend only on the number of images.
- A limit passes only if it passes under every condition: on the images as they are and under every kind of damage.
- Images of a group are alike: counts are divided by the design effect, see
  :func:`facevalue.evaluation.exact_bounds.design_effect`.

Assumed is that images in use are like the calibration images, and that the error does not fall when less certain images
are answered too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facevalue.evaluation.exact_bounds import design_effect, fewest, p_value, upper_bound
from facevalue.evidence.stated_limits import AnsweredImages, StatedError

CERTAINTY = 0.95
STARTS = 3
"""Most sequences. Fewer answer a little more where the most certain answers are never wrong. Where one in 250 is, a
single one ends the first sequence: of 1800 images under four conditions, three answer 42 % on average, two 7 %.
"""
NEVER = 2.0
"""A limit on a probability that no image reaches."""

DIGITS = 6
"""Limits have at most this many decimals, so that rounding in an engine changes an answer only at the limit itself."""


@dataclass(frozen=True, eq=False)
class Answers:
    """What a model would answer to the calibration images under one condition.

    Attributes
    ----------
    confidence : (n,) probability of the predicted class; -inf where the model abstains for another reason.
    wrong : (n,) whether the predicted class is wrong.
    margin : (n,) how far the true class is above the others, on any scale.
    groups : (n,) number of each image's group.
    """

    confidence: NDArray[np.float64]
    wrong: NDArray[np.bool_]
    margin: NDArray[np.float64]
    groups: NDArray[np.int64]

    def count(self, limit: float) -> tuple[int, int]:
        """Numbers of answered images and of wrong answers with this limit."""
        answered = self.confidence >= limit
        return int(answered.sum()), int((answered & self.wrong).sum())


def state_error(conditions: Mapping[str, Answers], error: float, certainty: float = CERTAINTY) -> StatedError:
    """The lowest limit at which the error among answers is at most ``error``, with confidence ``certainty``.

    Parameters
    ----------
    conditions : answers by condition, to the same images or to a part of them.
    error : largest error among answered images, in (0, 1).

    Returns
    -------
    The record for the card. Where nothing can be promised, its limit is :data:`NEVER`.
    """
    effect = max(design_effect(part.wrong, part.margin, part.groups, error) for part in conditions.values())
    n = min(int(np.isfinite(part.confidence).sum()) for part in conditions.values())
    sequences = sequences_of(n, effect, error, 1 - certainty)
    alpha = (1 - certainty) / max(1, len(sequences))
    best, best_risk, risk = NEVER, alpha, 0.0
    for rank in sequences[0] if sequences else []:
        risk += alpha * sum(sequence[0] == rank for sequence in sequences)
        limit = _limit_at(rank, conditions)
        counts = [part.count(limit) for part in conditions.values()]
        if risk and all(p_value(wrong / effect, m / effect, error) <= risk for m, wrong in counts):
            best, best_risk = limit, risk
        else:
            risk = 0.0
    kept = best < NEVER
    shown = {name: part.count(best if kept else -1.0) for name, part in conditions.items()}
    return StatedError(
        error=error,
        certainty=certainty,
        kept=kept,
        limit=best,
        design_effect=effect,
        sequences=max(1, len(sequences)),
        conditions={
            name: AnsweredImages(
                n=len(conditions[name].wrong),
                groups=len(np.unique(conditions[name].groups)),
                answered=m,
                wrong=wrong,
                upper=upper_bound(wrong / effect, m / effect, best_risk) if m else 1.0,
            )
            for name, (m, wrong) in shown.items()
        },
        more=None if kept else more_images(conditions, error, 1 - certainty, effect),
    )


def sequences_of(n: int, effect: float, error: float, alpha: float) -> list[list[int]]:
    """Numbers of answers at which limits are tested, in at most :data:`STARTS` rising sequences with a common end.

    A sequence has the numbers at which one more wrong answer is allowed, and at the end all images. The first begins
    at the smallest number that can pass, each next one at twice as many as the one before.

    >>> [sequence[:3] for sequence in sequences_of(1000, 1.0, 0.01, 0.05)]
    [[368, 555, 720], [874, 1000]]
    """
    for starts in range(STARTS, 0, -1):
        ranks = list(_ranks(n, effect, error, alpha / starts))
        found = [[rank for rank in ranks if rank >= ranks[0] * 2**start] for start in range(starts)]
        if all(found):
            return [[*sequence, n] if sequence[-1] < n else sequence for sequence in found]
    return []


def _ranks(n: int, effect: float, error: float, alpha: float) -> Iterator[int]:
    wrong = 0
    while (rank := math.ceil(effect * fewest(wrong, error, alpha))) <= n:
        yield rank
        wrong += 1


def _limit_at(rank: int, conditions: Mapping[str, Answers]) -> float:
    """The highest limit at which every condition has at least ``rank`` answers, rounded down."""
    lowest = min(float(np.partition(part.confidence, -rank)[-rank]) for part in conditions.values())
    scale = 10**DIGITS
    return float(min(math.floor(lowest * scale), scale - 1) / scale)


def more_images(conditions: Mapping[str, Answers], error: float, alpha: float, effect: float) -> int | None:
    """About how many more images like these it takes to state this error; ``None`` if no number would do.

    As many as the best limit needs if its answers are wrong as often as their probabilities say. The probabilities are
    calibrated on these images, and tell more than the few wrong answers among them.
    """
    n = max(1, max(len(part.wrong) for part in conditions.values()))
    worst = 0.0
    for part in conditions.values():
        confidence = np.sort(part.confidence[np.isfinite(part.confidence)])[::-1]
        wrong = np.cumsum(1 - np.clip(confidence, 0, 1))
        places = sorted({round(i) for i in np.linspace(0, len(confidence) - 1, 200)}) if len(confidence) else []
        factors = [_factor(float(wrong[i]) / effect, (i + 1) / effect, error, alpha) for i in places]
        worst = max(worst, min(factors, default=fewest(0, error, alpha) * effect))
    return None if worst == math.inf else max(1, math.ceil(n * worst) - n)


def _factor(wrong: float, n: float, error: float, alpha: float) -> float:
    """How many times as many images it takes until a limit with this share of wrong answers passes."""
    if wrong >= error * n:
        return math.inf
    low, high = 0.0, 1.0
    while p_value(high * wrong, high * n, error) > alpha:
        low, high = high, 2 * high
    while high - low > 1e-3 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if p_value(middle * wrong, middle * n, error) <= alpha else (middle, high)
    return high
