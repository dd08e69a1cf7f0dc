"""The time left: from the pace of each kind of unit, never climbing, and true if the work becomes slower."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import pytest

from facevalue.support import progress
from facevalue.support.time_left import Left, TimeLeft


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


Step = tuple[str, int, float]  # kind, units, seconds each


def told(steps: Iterable[Step], *, start: float = 0.0, uneven: bool = False) -> list[tuple[float, Left | None]]:
    """The true time left and the estimate after each step."""
    steps = list(steps)
    totals: dict[str, int] = {}
    for kind, units, _ in steps:
        totals[kind] = totals.get(kind, 0) + units
    clock = Clock()
    estimate = TimeLeft(totals, uneven=uneven, clock=clock)
    clock.now += start
    rest = sum(units * seconds for _, units, seconds in steps)
    found = []
    for kind, units, seconds in steps:
        clock.now += units * seconds
        rest -= units * seconds
        found.append((rest, estimate.advance(units, kind)))
    return found


def epochs(n: int, train: float, validation: float) -> list[Step]:
    return [*[("train", 32, train)] * 30, *[("validation", 32, validation)] * 10] * n


def seconds(found: list[tuple[float, Left | None]]) -> list[float]:
    return [left.seconds for _, left in found if left is not None]


def test_epochs_of_slow_and_fast_images_do_not_make_it_climb() -> None:
    found = told(epochs(20, train=0.01, validation=0.002), start=5.0)
    values = seconds(found)
    assert all(after <= before + 1e-9 for before, after in itertools.pairwise(values))
    for rest, left in found[45:]:  # both kinds are measured
        assert left is not None
        assert not left.at_least
        assert left.seconds == pytest.approx(rest, rel=0.02, abs=0.5)
    for rest, left in found[12:40]:  # validation is not measured yet, and taken to be as slow
        assert left is not None
        assert rest <= left.seconds + 1e-6 <= 1.4 * rest


def test_the_start_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    found = told([("", 1, 0.1)] * 100, start=30.0)
    assert found[0][1] is None
    assert found[50][1] == pytest.approx(Left(4.9), rel=0.05)


def test_work_that_slows_down_keeps_a_lower_bound_that_is_true() -> None:
    found = told([*[("", 1, 1.0)] * 100, *[("", 1, 2.5)] * 100])
    values = seconds(found)
    assert all(after <= before + 1e-9 for before, after in itertools.pairwise(values))
    slow = [(rest, left) for rest, left in found[105:190] if left is not None and left.at_least]
    assert slow
    assert all(left.seconds <= rest + 1 for rest, left in slow)


def test_an_estimate_that_was_wrong_by_far_is_replaced() -> None:
    found = told([*[("", 1, 0.1)] * 100, *[("", 1, 10.0)] * 100])
    rest, left = found[150]
    assert left is not None
    assert rest / 3 < left.seconds <= rest


def test_attacks_of_very_different_cost_are_measured_before_an_estimate() -> None:
    found = told([("fgsm", 32, 0.01), ("suite", 32, 2.0)] * 5, uneven=True)
    assert found[0][1] is None
    assert found[1][1] == pytest.approx(Left(4 * 32 * 2.01))
    values = seconds(found)
    assert all(after <= before + 1e-9 for before, after in itertools.pairwise(values))
    assert found[5][1] == pytest.approx(Left(2 * 32 * 2.01), rel=0.1)


def test_what_was_done_before_makes_it_no_faster() -> None:
    clock = Clock()
    estimate = TimeLeft({"": 1000}, clock=clock)
    estimate.skip(900, "")
    for _ in range(50):
        clock.now += 0.2
        left = estimate.advance(1, "")
    assert left == pytest.approx(Left(10.0), rel=0.05)


def test_a_part_names_what_is_done_in_it() -> None:
    names: list[str] = []

    class Names(progress.Silent):
        def start(self, what: str, total: int | None, unit: str) -> int:
            names.append(what)
            return 0

    with progress.using(Names()), progress.within("trial 3"), progress.within("head first"):
        assert list(progress.track([1], "reading")) == [1]
    assert list(progress.track([1], "reading")) == [1]
    assert names == ["trial 3: head first: reading"]
