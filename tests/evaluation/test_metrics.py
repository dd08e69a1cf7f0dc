"""Figures against scikit-learn, scipy, closed forms and many draws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    brier_score_loss,
    confusion_matrix,
    log_loss,
    roc_auc_score,
)

from facevalue import decision
from facevalue.evaluation import metrics

LABELS = st.lists(st.integers(0, 1), min_size=2, max_size=60).filter(lambda y: len(set(y)) == 2)


def drawn(n: int, k: int, seed: int, ties: bool = False) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(k), n)
    if ties:
        p = np.round(p, 1) + 1e-9
        p /= p.sum(axis=1, keepdims=True)
    y = np.concatenate([np.arange(k), rng.integers(0, k, n - k)])
    return y, p


@given(st.integers(1, 2000), st.data())
def test_wilson_equals_scipys(n: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(0, n))
    expected = binomtest(k, n).proportion_ci(0.95, method="wilson")
    np.testing.assert_allclose(metrics.wilson(k, n), (expected.low, expected.high), atol=1e-9)


def test_wilson_at_the_ends() -> None:
    # Wilson's upper end at no success is z^2 / (n + z^2).
    z2 = 1.959963984540054**2
    assert metrics.wilson(0, 20) == (0.0, pytest.approx(z2 / (20 + z2)))
    assert metrics.wilson(20, 20) == (pytest.approx(20 / (20 + z2)), 1.0)
    assert metrics.wilson(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize("rate", [0.5, 0.8, 0.95, 0.99])
@pytest.mark.parametrize("n", [30, 100, 500])
def test_wilson_covers_as_promised(rate: float, n: int) -> None:
    # Exactly, over every outcome: the score interval's coverage swings around 95 % (Brown, Cai, DasGupta 2001).
    k = np.arange(n + 1)
    covered = [low <= rate <= high for low, high in (metrics.wilson(int(x), n) for x in k)]
    assert binom.pmf(k, n, rate)[covered].sum() > 0.92


def test_bootstrap_covers_as_promised() -> None:
    rng = np.random.default_rng(0)
    inside = 0
    for seed in range(200):
        sample = rng.normal(3, 1, 60)
        low, high = metrics.bootstrap(lambda i, s=sample: float(s[i].mean()), 60, draws=200, seed=seed)
        inside += low <= 3 <= high
    # 95 % of 200 is 190; a percentile bootstrap of 60 is a little narrow.
    assert 178 <= inside <= 198


@pytest.mark.parametrize(("right", "n", "k"), [(20, 40, 1), (20, 40, 4), (30, 40, 9), (5, 40, 4)])
def test_the_interval_of_the_mean_of_k_equal_rates_is_narrower_by_the_root_of_k(right: int, n: int, k: int) -> None:
    """By square-and-add, both ends of one rate's interval come nearer by the root of k (closed form)."""
    low, high = metrics.wilson(right, n)
    rate = right / n
    expected = (rate - (rate - low) / k**0.5, rate + (high - rate) / k**0.5)
    assert metrics.mean_of_rates([(right, n)] * k) == pytest.approx(expected)


def test_the_interval_of_the_mean_of_rates_covers_as_promised() -> None:
    rng = np.random.default_rng(0)
    rates, sizes = np.array([0.97, 0.7, 0.4]), [60, 40, 80]
    inside = 0
    for _ in range(300):
        low, high = metrics.mean_of_rates([(int(rng.binomial(n, p)), n) for n, p in zip(sizes, rates, strict=True)])
        inside += low <= rates.mean() <= high
    assert 275 <= inside <= 298  # 95 % of 300 is 285, with a standard deviation of 4


def test_the_basic_interval_reflects_the_draws_and_holds_the_statistic() -> None:
    """Resampling biases a calibration error upwards; even where all draws lie above it, its own value is inside."""
    drawn = iter(np.linspace(0.3, 0.5, 101))
    assert metrics.bootstrap(lambda _: next(drawn), 9, draws=101, around=0.4) == pytest.approx((0.305, 0.495))
    assert metrics.bootstrap(lambda _: 0.5, 9, around=0.2) == (0.0, 0.2)


def test_bootstrap_is_repeatable_and_leaves_out_the_undefined() -> None:
    values = np.arange(50.0)

    def mean(i: np.ndarray) -> float:
        return float("nan") if i[0] % 2 else float(values[i].mean())

    assert metrics.bootstrap(mean, 50, seed=3) == metrics.bootstrap(mean, 50, seed=3)
    assert metrics.bootstrap(mean, 50, seed=3) != metrics.bootstrap(mean, 50, seed=4)
    assert metrics.bootstrap(lambda _: float("nan"), 5) == (0.0, 1.0)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_two_classes_against_scikit_learn(seed: int, ties: bool) -> None:
    y, p = drawn(200, 2, seed, ties)
    assert metrics.auroc(y, p, 1) == pytest.approx(roc_auc_score(y, p[:, 1]))
    assert metrics.average_precision(y, p, 1) == pytest.approx(average_precision_score(y, p[:, 1]))
    assert metrics.nll(y, p) == pytest.approx(log_loss(y, p))
    assert metrics.brier(y, p) == pytest.approx(2 * brier_score_loss(y, p[:, 1]))  # over both classes, so twice


@pytest.mark.parametrize("ties", [False, True])
def test_four_classes_against_scikit_learn(ties: bool) -> None:
    y, p = drawn(300, 4, 0, ties)
    assert metrics.auroc(y, p) == pytest.approx(roc_auc_score(y, p, multi_class="ovr", average="macro"))
    assert metrics.average_precision(y, p) == pytest.approx(average_precision_score(np.eye(4)[y], p, average="macro"))
    decided = decision.decide(p)
    np.testing.assert_array_equal(metrics.confusion(y, decided, 4), confusion_matrix(y, decided))
    assert metrics.balanced_accuracy(y, decided) == pytest.approx(balanced_accuracy_score(y, decided))


@given(LABELS, st.data())
def test_auroc_is_the_share_of_pairs_in_order(y: list[int], data: st.DataObject) -> None:
    score = data.draw(st.lists(st.integers(0, 5), min_size=len(y), max_size=len(y)))
    p = np.stack([5 - np.array(score), np.array(score)], axis=1) / 5
    labels = np.array(y)
    pairs = p[labels == 1, 1][:, None] - p[labels == 0, 1][None]
    assert metrics.auroc(labels, p, 1) == pytest.approx(float(np.mean((pairs > 0) + 0.5 * (pairs == 0))))


def test_what_is_undefined_is_nan() -> None:
    y, p = np.zeros(4, int), np.tile([0.6, 0.4], (4, 1))
    assert np.isnan(metrics.auroc(y, p, 1))
    assert np.isnan(metrics.average_precision(y, p, 1))
    assert metrics.balanced_accuracy(y, decision.decide(p)) == 1.0


def test_calibration_error_by_hand() -> None:
    # Two bars: four images at 0.9 of which three are right, two at 0.6 of which none is.
    p = np.array([[0.9, 0.1]] * 4 + [[0.6, 0.4]] * 2)
    y = np.array([0, 0, 0, 1, 1, 1])
    bars = metrics.reliability(y, p, bins=10)
    assert [(b.n, round(b.low, 1), round(b.high, 1)) for b in bars] == [(2, 0.5, 0.6), (4, 0.8, 0.9)]
    assert [b.accuracy for b in bars] == [0.0, 0.75]
    assert metrics.ece(y, p, bins=10) == pytest.approx((4 * abs(0.75 - 0.9) + 2 * abs(0 - 0.6)) / 6)


def test_a_calibrated_forecast_has_a_small_calibration_error() -> None:
    rng = np.random.default_rng(0)
    q = rng.uniform(0, 1, 20_000)
    p = np.stack([1 - q, q], axis=1)
    y = (rng.uniform(0, 1, 20_000) < q).astype(int)
    assert metrics.ece(y, p) < 0.015
    sharpened = p**3 / (p**3).sum(axis=1, keepdims=True)
    assert metrics.ece(y, sharpened) > 0.08


@given(st.floats(0.01, 0.99), st.floats(0, 1))
def test_the_threshold_is_of_the_positive_class(threshold: float, p1: float) -> None:
    p = np.array([[1 - p1, p1]])
    assert decision.decide(p, 1, threshold).tolist() == [1 if p1 >= threshold else 0]
    assert decision.decide(p[:, ::-1], 0, threshold).tolist() == [0 if p1 >= threshold else 1]


def test_a_confident_mistake_has_a_finite_loss() -> None:
    assert np.isfinite(metrics.nll(np.array([0]), np.array([[0.0, 1.0]])))
    assert metrics.brier(np.array([0]), np.array([[0.0, 1.0]])) == 2.0
