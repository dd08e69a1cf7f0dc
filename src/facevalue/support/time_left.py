"""Estimate the time that a piece of work still takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

_FIRST_SECONDS, _FIRST_SHARE = 3.0, 0.25  # an estimate from less than both would be chance
_HALF_LIFE = 30.0  # seconds after which a measurement counts half
_NEAR, _WRONG = 1.25, 3.0  # relative to the last estimate: within the noise, and from where on it was wrong


class Left(NamedTuple):
    """Seconds left, and whether that is only a lower bound because the work has become slower."""

    seconds: float
    at_least: bool = False


class TimeLeft:
    """Estimates the time left from the time that units of each kind have taken.

    Kinds of units, such as training and validation images, take different times and alternate; one mean rate would make
    the estimate rise and fall. The estimate never rises, unless it proves wrong by a factor of three: if the work slows
    down, the last estimate stays as a lower bound.

    Parameters
    ----------
    totals : number of units of each kind.
    uneven : whether kinds differ so much that there is no estimate before each was measured.
    clock : gives seconds.
    """

    def __init__(
        self, totals: Mapping[str, int], *, uneven: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._left = dict(totals)
        self._total = sum(totals.values())
        self._uneven = uneven
        self._clock = clock
        self._last = clock()
        self._measured: dict[str, _Pace] = {}
        self._steps, self._since_first = 0, 0.0
        self._told: float | None = None

    def skip(self, by: int, kind: str) -> None:
        """``by`` units need no work, so they are not measured."""
        self._left[kind] = max(0, self._left[kind] - by)
        self._last = self._clock()

    def advance(self, by: int, kind: str) -> Left | None:
        """``by`` more units are done; the time left, or ``None`` if it is not known yet."""
        now = self._clock()
        took, self._last = now - self._last, now
        self._left[kind] = max(0, self._left[kind] - by)
        self._since_first += took if self._steps else 0.0
        self._steps += by > 0
        self._measured.setdefault(kind, _Pace()).add(took, by)
        return self._told_of(self._estimate())

    def _estimate(self) -> float | None:
        done = 1 - sum(self._left.values()) / max(1, self._total)
        if self._since_first < _FIRST_SECONDS and done < _FIRST_SHARE:
            return None
        known = {kind: pace.seconds_each for kind, pace in self._measured.items() if pace.units}
        open_kinds = [kind for kind, n in self._left.items() if n]
        if not known or (self._uneven and not set(open_kinds) <= set(known)):
            return None
        usual = max(known.values())
        return sum(self._left[kind] * known.get(kind, usual) for kind in open_kinds)

    def _told_of(self, estimate: float | None) -> Left | None:
        if estimate is None:
            return None
        before = self._told
        if before is None or estimate <= before or estimate > _WRONG * before + _FIRST_SECONDS:
            self._told = estimate
            return Left(estimate)
        return Left(before, at_least=estimate > _NEAR * before + 1)


class _Pace:
    """Mean seconds of a unit; the first step, which includes the start, counts only while it is the only one."""

    def __init__(self) -> None:
        self.units, self._seconds, self._steps, self._pending = 0.0, 0.0, 0, 0.0

    def add(self, seconds: float, units: int) -> None:
        """``units`` more have taken these seconds and those of earlier calls with no unit."""
        self._pending += seconds
        if not units:
            return
        step, self._pending = self._pending, 0.0
        if self._steps == 1:
            self.units, self._seconds = 0.0, 0.0
        faded = 0.5 ** (step / _HALF_LIFE)
        self.units = faded * self.units + units
        self._seconds = faded * self._seconds + step
        self._steps += 1

    @property
    def seconds_each(self) -> float:
        return self._seconds / self.units
