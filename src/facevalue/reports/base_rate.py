"""What a positive answer means at a base rate: the share of positive answers that are right."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from importlib import resources

from facevalue.evidence.records import Evaluation, Interval

RATES = (0.5, 0.1, 0.01, 0.001)
"""Base rates of the table; a reader types their own."""


@dataclass(frozen=True)
class BaseRateFigures:
    """How often a model calls images of either class positive, measured on ``positives`` and ``negatives`` images.

    Images on which it abstains are not called positive. The intervals are exact (Clopper-Pearson) with 97.5 %
    confidence each, so that both hold together with 95 %.

    Attributes
    ----------
    found : share of the positive images that are called positive, and its interval.
    accused : the same of the negative images.
    """

    positives: int
    negatives: int
    found: float
    found_ci: Interval
    accused: float
    accused_ci: Interval

    @classmethod
    def of(cls, report: Evaluation, positive: str | None) -> BaseRateFigures | None:
        """From an evaluation with two classes; ``None`` if it lacks the counts or the images."""
        if positive is None or not report.answered or len(report.classes) != 2:
            return None
        p = report.classes.index(positive)
        positives, negatives = (sum(report.confusion[c]) for c in (p, 1 - p))
        if not positives or not negatives:
            return None
        right, wrong = report.answered[p][p], report.answered[1 - p][p]
        return cls(
            positives=positives,
            negatives=negatives,
            found=right / positives,
            found_ci=exact_interval(right, positives, 0.975),
            accused=wrong / negatives,
            accused_ci=exact_interval(wrong, negatives, 0.975),
        )

    def meaning(self, rate: float) -> tuple[float | None, Interval]:
        """The share of positive answers that are right if a share ``rate`` of all images is positive, and its interval.

        The share is ``None`` where no image was called positive.

        >>> figures = BaseRateFigures(100, 100, 0.9, (0.8, 0.95), 0.01, (0.001, 0.05))
        >>> share, (low, high) = figures.meaning(0.01)
        >>> round(share, 3), round(low, 3), round(high, 3)
        (0.476, 0.139, 0.906)
        """
        share = _share(self.found, self.accused, rate)
        low, high = (_share(self.found_ci[i], self.accused_ci[1 - i], rate) for i in (0, 1))
        return share, (low or 0.0, 1.0 if high is None else high)


def exact_interval(successes: int, n: int, confidence: float) -> Interval:
    """The Clopper-Pearson interval of a rate.

    >>> [round(end, 4) for end in exact_interval(0, 299, 0.9)]
    [0.0, 0.01]
    """
    from scipy.stats import binomtest

    low, high = binomtest(successes, n).proportion_ci(confidence, method="exact")
    return float(low), float(high)


def _share(found: float, accused: float, rate: float) -> float | None:
    right, wrong = found * rate, accused * (1 - rate)
    return None if right + wrong == 0 else right / (right + wrong)


def script() -> str:
    """The page's only script: it computes the same at the rate that a reader types."""
    return (resources.files("facevalue.reports") / "templates" / "base_rate.js").read_text(encoding="utf-8")


def script_hash() -> str:
    """The script's hash for the content security policy, which allows no other script."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script().encode()).digest()).decode()
