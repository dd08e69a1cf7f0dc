"""The risk-coverage curve against a direct count and the closed form of the best order."""

from __future__ import annotations

import numpy as np
import pytest

from facevalue.evaluation.risk_coverage import POINTS, aurc, curve, e_aurc, risks


def test_it_is_the_error_among_the_most_confident() -> None:
    rng = np.random.default_rng(0)
    confidence, wrong = rng.random(300), rng.random(300) < 0.2
    order = np.argsort(-confidence)
    expected = [wrong[order[:i]].mean() for i in range(1, 301)]
    assert risks(confidence, wrong) == pytest.approx(expected)
    assert aurc(confidence, wrong) == pytest.approx(np.mean(expected))


def test_equal_confidences_count_as_the_mean_of_their_orders() -> None:
    rng = np.random.default_rng(1)
    confidence, wrong = np.array([0.9, 0.9, 0.9, 0.7, 0.7]), np.array([True, False, False, True, False])
    orders = [aurc(confidence + 1e-6 * rng.random(5), wrong) for _ in range(4000)]
    assert aurc(confidence, wrong) == pytest.approx(np.mean(orders), abs=0.005)


@pytest.mark.parametrize("wrong_share", [0.0, 0.05, 0.5, 1.0])
def test_nothing_is_above_the_best_order(wrong_share: float) -> None:
    n = 2000
    wrong = np.arange(n) >= n * (1 - wrong_share)
    best = aurc(-np.arange(n).astype(float), wrong)
    assert e_aurc(-np.arange(n).astype(float), wrong) == pytest.approx(0, abs=1e-12)
    # Geifman, Uziel & El-Yaniv 2019, equation 7: r + (1 - r) ln(1 - r).
    closed = wrong_share + (1 - wrong_share) * np.log(max(1 - wrong_share, 1e-300))
    assert best == pytest.approx(closed, abs=2e-3)
    worst = e_aurc(np.arange(n).astype(float), wrong)
    assert worst > 0.2 or wrong_share in (0.0, 1.0) or wrong_share == 0.05


def test_a_curve_is_short_and_ends_at_the_error_of_all() -> None:
    rng = np.random.default_rng(0)
    confidence, wrong = rng.random(5000), rng.random(5000) < 0.1
    points = curve(confidence, wrong)
    assert len(points) == POINTS
    assert points[-1] == (1.0, pytest.approx(wrong.mean(), abs=1e-6))
    assert curve(confidence[:3], wrong[:3])[0][0] == pytest.approx(1 / 3, abs=1e-6)
