"""The drift alarm: a false alarm in at most one stream of a hundred, ever, and a true one soon."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facevalue.evidence.card import ModelCard
from facevalue.evidence.score_reference import HIGHEST, LOWEST, STEP, ScoreReference, bin_of, counted, margins
from facevalue.runtime.drift import ALARM, STATISTICS, DriftMonitor, Ranks, Watched, bets, money_left


def reference(rng: np.random.Generator, n: int = 200) -> ScoreReference:
    logits = np.stack([rng.gamma(3, 1, n), np.zeros(n)], axis=1)
    return ScoreReference.of("calibration", rng.gamma(4, 1, n), logits)


def test_each_bet_has_an_expected_gain_of_zero() -> None:
    """Each averages 1 over uniform p-values: what it puts on some it takes from others."""
    exponent = 4.0  # p = u ** 4 with its density: the powers' peaks at 0 and 1 are then integrated well
    u = (np.arange(200_000) + 0.5) / 200_000
    low = np.mean([bets(float(x**exponent)) * exponent * x ** (exponent - 1) for x in u[::20]], axis=0)
    high = np.mean([bets(float(1 - x**exponent)) * exponent * x ** (exponent - 1) for x in u[::20]], axis=0)
    for i in range(8):
        assert min(abs(low[i] - 1), abs(high[i] - 1)) < 2e-3
    assert (bets(1e-12) >= 0).all()
    assert (bets(1.0) >= 0).all()
    for i in range(4):  # the first half wins where p is small
        assert bets(0.01)[i] > 1 > bets(0.99)[i]
        assert bets(0.99)[i + 4] > 1 > bets(0.01)[i + 4]


def test_the_money_left_falls_and_stays_above_zero() -> None:
    left = [money_left(t) for t in range(10_000)]
    assert left[0] == 1
    assert all(a > b > 0 for a, b in itertools.pairwise(left))
    assert money_left(10**9) < 0.06


def test_p_values_are_ranks() -> None:
    ranks = Ranks(counted([1.0, 2.0, 3.0, 3.0]))
    assert ranks.add(10.0, 1.0) == 1 / 5
    assert ranks.add(10.0, 0.25) == pytest.approx(0.25 * 2 / 6)
    assert ranks.add(0.5, 1.0) == 1.0
    assert ranks.add(3.0, 0.5) == pytest.approx((2 + 0.5 * 3) / 8)


@given(st.floats(min_value=0) | st.just(math.nan))
def test_bins(score: float) -> None:
    place = bin_of(score)
    assert LOWEST <= place <= HIGHEST
    if 1e-5 < score < 1e11:
        assert STEP**place <= score * (1 + 1e-9)
        assert score <= STEP ** (place + 1) * (1 + 1e-9)


def test_margins() -> None:
    logits = np.random.default_rng(0).normal(size=(50, 5))
    expected = [sorted(row)[-1] - sorted(row)[-2] for row in logits]
    np.testing.assert_allclose(margins(logits), expected)


def test_p_values_are_uniform_and_independent() -> None:
    """While calibration images and traffic are alike; against the binomial at three standard errors."""
    rng = np.random.default_rng(3)
    found = []
    for _ in range(200):
        ranks = Ranks(counted(rng.gamma(4, 1, 30)))
        found.append([ranks.add(float(x), float(1 - rng.random())) for x in rng.gamma(4, 1, 20)])
    p = np.array(found)
    for level in (0.05, 0.25, 0.5, 0.9):
        assert abs((p <= level).mean() - level) < 3 * math.sqrt(level * (1 - level) / p.size)
    assert abs(np.corrcoef(p[:, :-1].ravel(), p[:, 1:].ravel())[0, 1]) < 3 / math.sqrt(p.size)


def test_wealth_is_a_martingale() -> None:
    """Its average over many short streams without drift stays 1."""
    rng = np.random.default_rng(4)
    wealth = []
    for i in range(600):
        monitor = DriftMonitor(reference(rng, 60), seed=i)
        for a, b in zip(rng.gamma(4, 1, 15), rng.gamma(3, 1, 15), strict=True):
            monitor.observe(Watched(a, b))
        shares = monitor.shares()
        wealth.append(shares["novelty"] + shares["confidence"])
    assert abs(np.mean(wealth) - 2) < 4 * np.std(wealth) / math.sqrt(len(wealth))


def streams_with_alarm(n: int, length: int, seed: int) -> int:
    rng = np.random.default_rng(seed)
    alarms = 0
    for i in range(n):
        monitor = DriftMonitor(reference(rng), seed=i)
        alarms += any(
            monitor.observe(Watched(a, b))
            for a, b in zip(rng.gamma(4, 1, length), rng.gamma(3, 1, length), strict=True)
        )
    return alarms


def test_false_alarms() -> None:
    """In 200 streams of 400: at one in a hundred, more than 6 are seen in less than one of 200 runs of this test."""
    assert streams_with_alarm(200, 400, seed=1) <= 6


@pytest.mark.slow
def test_false_alarms_of_long_streams() -> None:
    """At most one of 100 streams of 10,000."""
    assert streams_with_alarm(100, 10_000, seed=2) <= 1


@pytest.mark.parametrize("calm", [0, 500, 10_000])
@pytest.mark.parametrize(
    ("novelty", "margin", "statistic", "change"),
    [(1.5, 0.0, "novelty", "more novel"), (0.0, -1.0, "confidence", "less confident")],
)
def test_true_alarms(calm: int, novelty: float, margin: float, statistic: str, change: str) -> None:
    """A shift of about three quarters of a standard deviation is told within 300 images, and which score moved."""
    rng = np.random.default_rng(calm)
    monitor = DriftMonitor(reference(rng, 300), seed=1)
    for a, b in zip(rng.gamma(4, 1, calm), rng.gamma(3, 1, calm), strict=True):
        assert not monitor.observe(Watched(a, b))
    for a, b in zip(rng.gamma(4, 1, 300), rng.gamma(3, 1, 300), strict=True):
        if monitor.observe(Watched(a + novelty, max(b + margin, b / 4))):
            break
    assert monitor.alarm is not None
    assert monitor.alarm.statistic == statistic
    assert monitor.alarm.change == change
    assert monitor.alarm.image == monitor.images > calm
    assert monitor.wealth >= ALARM
    assert statistic not in [alarm.statistic for alarm in monitor.observe(Watched(100.0, 0.0))]  # it is told once
    assert monitor.alarm.statistic == statistic  # and stays


@pytest.mark.parametrize(
    ("statistic", "place", "higher", "change"),
    [
        ("detail", 2, True, "richer in detail"),
        ("detail", 2, False, "poorer in detail"),
        ("jpeg_quality", 3, True, "of higher JPEG quality"),
        ("jpeg_quality", 3, False, "of lower JPEG quality"),
    ],
)
def test_alarms_of_the_input(statistic: str, place: int, higher: bool, change: str) -> None:
    """Each has its own, and hides no later one of the scores."""
    rng = np.random.default_rng(0)
    known = ScoreReference.of(
        "calibration",
        rng.gamma(4, 1, 300),
        np.stack([rng.gamma(3, 1, 300), np.zeros(300)], axis=1),
        rng.gamma(4, 1, 300),
        [75.0] * 200 + [90.0] * 100,
    )
    monitor = DriftMonitor(known, seed=1)

    def drawn() -> list[float]:
        return [*rng.gamma(4, 1, 1), *rng.gamma(3, 1, 1), *rng.gamma(4, 1, 1), float(rng.choice([75.0, 75.0, 90.0]))]

    for _ in range(500):
        assert not monitor.observe(Watched(*drawn()))
    for _ in range(100):
        image = drawn()
        image[place] = image[place] * 3 if higher else image[place] / 3
        monitor.observe(Watched(*image))
    assert [(alarm.statistic, alarm.change) for alarm in monitor.alarms.values()] == [(statistic, change)]
    for _ in range(100):
        image = drawn()
        image[0] *= 3
        monitor.observe(Watched(*image))
    assert list(monitor.alarms) == [statistic, "novelty"]
    assert monitor.alarm is not None
    assert monitor.alarm.statistic == statistic


def test_what_is_not_known_is_not_bet_on() -> None:
    monitor = DriftMonitor(reference(np.random.default_rng(0)), seed=0)
    for _ in range(50):
        monitor.observe(Watched(4.0, 3.0))
    assert monitor.shares()["detail"] == pytest.approx(1)
    assert monitor.shares()["jpeg_quality"] == pytest.approx(1)


def test_wealth_at_which_the_alarms_are_raised() -> None:
    """Ville's inequality for each statistic and the union bound: one stream in a hundred."""
    assert len(STATISTICS) / ALARM == pytest.approx(0.01)


def test_without_a_reference_the_stream_is_compared_with_its_beginning() -> None:
    rng = np.random.default_rng(0)
    monitor = DriftMonitor(None, seed=0)
    for x in rng.gamma(4, 1, 1000):
        assert not monitor.observe(Watched(x, x))
    assert any(monitor.observe(Watched(x + 3, 1.0)) for x in rng.gamma(4, 1, 300))


def test_the_state_has_one_size() -> None:
    monitor = DriftMonitor(None, seed=0)
    rng = np.random.default_rng(0)

    def size() -> int:
        return sum(ranks._counts.nbytes for ranks in monitor._ranks.values()) + sum(
            stakes.nbytes for stakes in monitor._stakes.values()
        )

    before = size()
    for x in rng.gamma(4, 1, 2000):
        monitor.observe(Watched(x, x))
    assert size() == before < 100_000


def test_the_reference_survives_the_card(tmp_path: Path) -> None:
    from .model_folders import write_model

    classifier = write_model(tmp_path / "model")
    card = classifier.card.changed(reference=reference(np.random.default_rng(0)))
    card.save(tmp_path / "model")
    assert ModelCard.load(tmp_path / "model").reference == card.reference
    assert len(card.to_json()) - len(classifier.card.to_json()) < 8_000
