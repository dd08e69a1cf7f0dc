"""An alarm for traffic that is not like the calibration images. Needs no labels, and rarely cries wolf.

Each image gets two p-values: the rank of its novelty and of its logits' margin among the calibration images and all
images seen before it, ties broken at random (a conformal p-value, Vovk et al. 2005). While calibration images and
traffic are exchangeable, these are independent and uniform. A test martingale bets against that: its wealth
starts at 1 and is not expected to grow, so by Ville's inequality it ever reaches 100 with probability at most 1/100.
Money is put aside for bets that start later, so that a change after a long calm is found as well (a mixture over
change points, as in Shafer et al. 2011, arXiv:0912.4269, and Ramdas et al. 2023, arXiv:2210.01948).

The reference grows, and is kept as counts on a fixed grid: the state has one size however long the stream is.
"""

from __future__ import annotations

import math
import random
from typing import Literal, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from facevalue.evidence.score_reference import HIGHEST, LOWEST, Counts, ScoreReference, bin_of

ALARM = 100.0
"""Wealth at which the alarm is raised: at most one stream in this many raises it without cause, ever."""

CALM = 100.0
"""Images after which about half of the money for later bets is spent."""

SLOPES = (-0.9, -0.5, 0.5, 0.9)
POWERS = (0.25, 0.5)

Statistic = Literal["novelty", "confidence"]
Change = Literal["more novel", "less novel", "less confident", "more confident"]


@final
class Alarm(NamedTuple):
    """What was found.

    Attributes
    ----------
    statistic, change : what moved, and where to.
    image : how many images had been seen.
    """

    statistic: Statistic
    change: Change
    image: int


def bets(p: float) -> NDArray[np.float64]:
    """(8,) how each bet multiplies its stake: each is >= 0 and averages 1 over a uniform p in (0, 1).

    The first half of each kind wins where p-values are small, the second where they are large.
    """
    linear = [1 - slope * (2 * p - 1) for slope in reversed(SLOPES)]
    small = [k * p ** (k - 1) for k in POWERS]
    large = [k * max(1 - p, 1e-12) ** (k - 1) for k in POWERS]
    return np.array([*linear[:2], *small, *linear[2:], *large])


def money_left(t: int) -> float:
    """Share of the money that is not yet bet after ``t`` images: from 1 slowly to 0."""
    return 1 / (1 + math.log1p(t / CALM))


@final
class Ranks:
    """Counts of scores on the fixed grid."""

    def __init__(self, counts: Counts) -> None:
        self.n = sum(counts.values())
        self._counts = np.zeros(HIGHEST - LOWEST + 1, np.int64)
        for place, count in counts.items():
            self._counts[min(HIGHEST, max(LOWEST, int(place))) - LOWEST] += count

    def add(self, score: float, tie: float) -> float:
        """Add a score; returns its p-value: the share of scores above it, itself and its equals by ``tie``."""
        place = bin_of(score) - LOWEST
        self._counts[place] += 1
        self.n += 1
        above = int(self._counts[place + 1 :].sum())
        return (above + tie * int(self._counts[place])) / self.n


@final
class DriftMonitor:
    """The alarm over one stream of images. Not safe to share by threads.

    Parameters
    ----------
    reference : the calibration split's scores; with ``None`` the stream is compared with its own beginning.
    seed : for breaking ties; drawn from the system by default.
    """

    def __init__(self, reference: ScoreReference | None, seed: int | None = None) -> None:
        self.calibration = 0 if reference is None else reference.n
        self._ranks: dict[Statistic, Ranks] = {
            "novelty": Ranks(reference.novelty if reference else {}),
            "confidence": Ranks(reference.margin if reference else {}),
        }
        self._random = random.Random(seed)
        self._stakes: dict[Statistic, NDArray[np.float64]] = {name: np.zeros(8) for name in self._ranks}
        self.images = 0
        self.wealth = 1.0
        self.most = 1.0
        self.alarm: Alarm | None = None

    def observe(self, novelty: float, margin: float) -> bool:
        """Take in one image's scores; whether the alarm is raised by it. Once raised it stays, and betting ends."""
        if self.alarm is not None:
            return False
        fresh = money_left(self.images) - money_left(self.images + 1)
        self.images += 1
        # Small p-values: far from the training data, or between two classes.
        p_novelty = self._ranks["novelty"].add(novelty, self._tie())
        p_margin = 1 - self._ranks["confidence"].add(margin, self._tie())
        for name, p in (("novelty", p_novelty), ("confidence", p_margin)):
            stakes = self._stakes[name]  # type: ignore[index]
            stakes += fresh
            stakes *= bets(max(p, 1e-12))
        self.wealth = money_left(self.images) + float(np.mean([s.mean() for s in self._stakes.values()]))
        self.most = max(self.most, self.wealth)
        if self.wealth < ALARM:
            return False
        self.alarm = self._found()
        return True

    def shares(self) -> dict[Statistic, float]:
        """Wealth of each statistic's bets alone: which one moved."""
        left = money_left(self.images)
        return {name: left + float(stakes.mean()) for name, stakes in self._stakes.items()}

    def _tie(self) -> float:
        return 1 - self._random.random()  # in (0, 1]

    def _found(self) -> Alarm:
        shares = self.shares()
        statistic: Statistic = "novelty" if shares["novelty"] >= shares["confidence"] else "confidence"
        stakes = self._stakes[statistic]
        small = stakes[:4].sum() >= stakes[4:].sum()
        changes: dict[Statistic, tuple[Change, Change]] = {
            "novelty": ("more novel", "less novel"),
            "confidence": ("less confident", "more confident"),
        }
        return Alarm(statistic, changes[statistic][0 if small else 1], self.images)
