"""An alarm for traffic that is not like the calibration images. Needs no labels, and rarely cries wolf.

Four statistics are watched: an image's novelty, its logits' margin, the detail in the network input, and the JPEG
quality of the file. Each gets a p-value: the image's rank among the calibration images and all images seen before it,
ties broken at random (a conformal p-value, Vovk et al. 2005). While calibration images and traffic are exchangeable,
the p-values of a statistic are independent and uniform. A test martingale bets against that: its wealth starts at 1
and is not expected to grow, so by Ville's inequality it ever reaches 400 with probability at most 1/400, and any of the
four does with at most 1/100 (union bound). Each has an alarm of its own, so that a harmless one hides no other.
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

Statistic = Literal["novelty", "confidence", "detail", "jpeg_quality"]

STATISTICS: tuple[Statistic, ...] = ("novelty", "confidence", "detail", "jpeg_quality")

STREAMS = 100
"""At most one stream in this many raises any alarm without cause, ever."""

ALARM = float(STREAMS * len(STATISTICS))
"""Wealth of a statistic at which its alarm is raised."""

CALM = 100.0
"""Images after which about half of the money for later bets is spent."""

SLOPES = (-0.9, -0.5, 0.5, 0.9)
POWERS = (0.25, 0.5)

Change = Literal[
    "more novel",
    "less novel",
    "less confident",
    "more confident",
    "richer in detail",
    "poorer in detail",
    "of higher JPEG quality",
    "of lower JPEG quality",
]

_CHANGES: dict[Statistic, tuple[Change, Change]] = {
    "novelty": ("more novel", "less novel"),
    "confidence": ("more confident", "less confident"),
    "detail": ("richer in detail", "poorer in detail"),
    "jpeg_quality": ("of higher JPEG quality", "of lower JPEG quality"),
}
"""What it means that a statistic's scores are higher, and that they are lower."""


@final
class Watched(NamedTuple):
    """What is watched of one image.

    Attributes
    ----------
    novelty : distance from the training data.
    margin : see :func:`facevalue.evidence.score_reference.margins`.
    detail : see :func:`facevalue.data.input_facts.detail`; ``None`` if it is not known.
    jpeg_quality : see :func:`facevalue.data.input_facts.jpeg_quality`; ``None`` if there was no file.
    """

    novelty: float
    margin: float
    detail: float | None = None
    jpeg_quality: float | None = None


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
    """The alarms over one stream of images. Not safe to share by threads.

    Parameters
    ----------
    reference : the calibration split's scores. A statistic that it does not have, or all with ``None``, is compared
        with the stream's own beginning.
    seed : for breaking ties; drawn from the system by default.

    Attributes
    ----------
    alarms : raised so far, the first one first. An alarm stays.
    """

    def __init__(self, reference: ScoreReference | None, seed: int | None = None) -> None:
        self.calibration = 0 if reference is None else reference.n
        known: dict[Statistic, Counts] = {}
        if reference is not None:
            known = {
                "novelty": reference.novelty,
                "confidence": reference.margin,
                "detail": reference.detail,
                "jpeg_quality": reference.jpeg_quality,
            }
        self._ranks = {name: Ranks(known.get(name, {})) for name in STATISTICS}
        self._random = random.Random(seed)
        self._stakes = {name: np.zeros(8) for name in STATISTICS}
        self.images = 0
        self.alarms: dict[Statistic, Alarm] = {}

    @property
    def alarm(self) -> Alarm | None:
        """The first alarm."""
        return next(iter(self.alarms.values()), None)

    @property
    def wealth(self) -> float:
        """The largest wealth of a statistic."""
        return max(self.shares().values())

    def observe(self, seen: Watched) -> tuple[Alarm, ...]:
        """Take in one image; the alarms that it raises. A statistic whose alarm was raised is not watched any more."""
        fresh = money_left(self.images) - money_left(self.images + 1)
        self.images += 1
        raised = []
        for name, score in zip(STATISTICS, seen, strict=True):
            if name in self.alarms:
                continue
            stakes = self._stakes[name]
            stakes += fresh
            if score is None:
                continue
            # A small p-value means a high score.
            p = self._ranks[name].add(score, self._tie())
            stakes *= bets(max(p, 1e-12))
            if self._wealth(name) >= ALARM:
                higher = stakes[:4].sum() >= stakes[4:].sum()
                self.alarms[name] = Alarm(name, _CHANGES[name][0 if higher else 1], self.images)
                raised.append(self.alarms[name])
        return tuple(raised)

    def shares(self) -> dict[Statistic, float]:
        """Wealth of each statistic's bets. After its alarm it stands still."""
        return {name: self._wealth(name) for name in STATISTICS}

    def _wealth(self, name: Statistic) -> float:
        alarm = self.alarms.get(name)
        return money_left(self.images if alarm is None else alarm.image) + float(self._stakes[name].mean())

    def _tie(self) -> float:
        return 1 - self._random.random()  # in (0, 1]
