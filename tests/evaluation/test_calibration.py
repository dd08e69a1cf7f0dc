"""Temperature, confidence and novelty against closed forms and independent optimisers."""

import math
import time

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from sklearn.decomposition import PCA

from facevalue.evaluation import metrics
from facevalue.evaluation.answer_limits import choose_confidence
from facevalue.evaluation.calibration import novelty_limit
from facevalue.models.calibration.temperature import fit_temperature
from facevalue.models.eigen import eigh
from facevalue.models.novelty.mahalanobis import RANK, squared_distance
from facevalue.models.novelty.mahalanobis import fit as fit_novelty


def drawn(n: int, temperature: float, seed: int, k: int = 2) -> tuple[torch.Tensor, np.ndarray]:
    """Logits whose labels are drawn from softmax(logits / temperature)."""
    rng = np.random.default_rng(seed)
    logits = torch.from_numpy(rng.normal(size=(n, k)) * 3)
    p = torch.softmax(logits / temperature, 1).numpy()
    return logits, (p.cumsum(1) > rng.random((n, 1))).argmax(1)


@pytest.mark.parametrize("k", [2, 5])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 1.7, 4.0])
def test_the_temperature_that_made_the_labels_is_found(temperature: float, k: int) -> None:
    logits, y = drawn(20_000, temperature, 0, k)
    assert fit_temperature(logits, y) == pytest.approx(temperature, rel=0.06)


def test_it_is_the_minimum_that_another_optimiser_finds() -> None:
    logits, y = drawn(400, 2.3, 1, 3)
    best = minimize_scalar(
        lambda log_t: metrics.nll(y, torch.softmax(logits / math.exp(log_t), 1).numpy()),
        bounds=(-3, 3),
        method="bounded",
    )
    assert fit_temperature(logits, y) == pytest.approx(math.exp(best.x), rel=0.01)


def test_all_correct_gives_a_finite_temperature_and_keeps_the_order() -> None:
    logits = torch.tensor([[4.0, -4.0], [-4.0, 4.0]] * 30)
    y = np.array([0, 1] * 30)
    temperature = fit_temperature(logits, y)
    assert 0.05 < temperature < 2
    assert torch.equal((logits / temperature).argmax(1), logits.argmax(1))


def test_the_temperature_stays_in_its_range() -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 400)
    assert fit_temperature(torch.from_numpy(rng.normal(size=(400, 2)) * 1e5), y) == 200.0  # labels by chance
    assert fit_temperature(torch.from_numpy(np.eye(2)[y] * 0.01), y) == 0.05  # all correct, with tiny logits


def test_it_does_not_make_calibration_worse() -> None:
    for seed in range(5):
        logits, y = drawn(300, 3.0, seed)
        before = metrics.nll(y, torch.softmax(logits, 1).numpy())
        after = metrics.nll(y, torch.softmax(logits / fit_temperature(logits, y), 1).numpy())
        assert after < before


def test_the_confidence_limit_reaches_its_target_on_calibration_and_holds_on_new_images() -> None:
    logits, y = drawn(4_000, 2.0, 0)
    p = torch.softmax(logits / 2.0, 1).numpy()
    limit = choose_confidence(p, y, target=0.9)
    answered = p.max(1) >= limit
    assert (p.argmax(1) == y)[answered].mean() >= 0.9
    assert 0.6 < limit < 1
    new_logits, new_y = drawn(20_000, 2.0, 1)
    q = torch.softmax(new_logits / 2.0, 1).numpy()
    answered = q.max(1) >= limit
    assert (q.argmax(1) == new_y)[answered].mean() == pytest.approx(0.9, abs=0.02)


def test_the_limit_lies_halfway_between_the_last_answered_and_the_next() -> None:
    """So that rounding in another engine moves no image over the limit."""
    confidence = np.array([0.99, 0.95, 0.9, 0.8, 0.7, 0.65])
    p = np.stack([confidence, 1 - confidence], axis=1)
    y = np.array([0, 0, 0, 0, 1, 1])
    assert choose_confidence(p, y, target=1.0) == pytest.approx(0.75)
    # The target is reached for 2 of 6 only, but half must be answered: the third is the last, at 1/3 wrong.
    assert choose_confidence(p, np.array([0, 0, 1, 1, 1, 1]), target=1.0) == pytest.approx(0.85)


def test_the_limit_is_the_floor_if_all_are_correct_and_answers_half_at_least() -> None:
    y = np.array([0, 1] * 50)
    sure = np.eye(2)[y] * 0.98 + 0.01
    assert choose_confidence(sure, y, target=0.95, floor=0.6) == 0.6
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.6, 1, 100)
    wrong = np.where(np.eye(2)[1 - y] == 1, confidence[:, None], 1 - confidence[:, None])
    limit = choose_confidence(wrong, y, target=0.95)
    assert (wrong.max(1) >= limit).mean() == pytest.approx(0.5, abs=0.02)


def test_novelty_is_the_distance_of_probabilistic_pca() -> None:
    rng = np.random.default_rng(0)
    d, n = 100, 3_000
    basis = np.linalg.qr(rng.normal(size=(d, d)))[0]
    spread = np.r_[np.linspace(5, 2, 64), np.full(d - 64, 0.5)]
    centres = rng.normal(size=(2, d)) * 20
    y = np.arange(n) % 2
    x = centres[y] + (rng.normal(size=(n, d)) * spread) @ basis.T
    buffers = fit_novelty(torch.from_numpy(x).float(), y, 2)
    assert buffers["scale"].numpy() == pytest.approx(spread[:64], rel=0.1)
    assert float(buffers["rest"]) == pytest.approx(0.5, rel=0.05)
    means = buffers["means"].numpy()
    assert np.abs(means - centres).max() < 0.6


@pytest.mark.parametrize("n", [140, 300, 900])
def test_the_spread_equals_scikit_learns_with_more_features_than_images_too(n: int) -> None:
    rng = np.random.default_rng(0)
    d = 400
    y = np.arange(n) % 2
    x = (rng.normal(size=(n, d)) * np.linspace(4, 0.1, d) + 3 * y[:, None]).astype(np.float32)
    buffers = fit_novelty(torch.from_numpy(x), y, 2)
    within = x.astype(np.float64)
    for c in (0, 1):
        within[y == c] -= within[y == c].mean(0)
    pca = PCA(64, svd_solver="full").fit(within)
    share = (n - 1) / (n - 2)  # two means were taken off, where PCA counts one
    assert buffers["scale"].numpy() == pytest.approx(np.sqrt(share * pca.explained_variance_), rel=1e-4)
    left = within.var(0, ddof=2).sum() - share * pca.explained_variance_.sum()
    assert float(buffers["rest"]) == pytest.approx(np.sqrt(left / (d - 64)), rel=1e-4)
    along = np.abs(np.sum(buffers["basis"].numpy() * pca.components_.T, axis=0))
    assert along == pytest.approx(1, abs=1e-3)


def test_novelty_in_float32_is_stable_with_fewer_images_than_directions() -> None:
    rng = np.random.default_rng(0)
    n, d, y = 50, 512, np.arange(50) % 2
    x = np.maximum(0, np.maximum(0, rng.normal(size=(n, 40))) @ rng.normal(size=(40, d)))
    features = torch.from_numpy(x).float()
    buffers = fit_novelty(features, y, 2)
    parts = [buffers[name] for name in ("means", "basis", "scale", "rest")]
    found = squared_distance(torch.cat([features, 3 * features]), *parts)
    # Another engine's features differ by float error, and the novelty must not.
    other = squared_distance(
        torch.cat([features, 3 * features]) * (1 + 1e-6 * torch.from_numpy(rng.normal(size=(2 * n, d))).float()), *parts
    )
    torch.testing.assert_close(other, found, rtol=1e-3, atol=0)
    means, basis, scale, rest = (part.double().numpy() for part in parts)
    expected = []
    for row in np.concatenate([x, 3 * x]):
        away = row - means
        left = away - np.linalg.lstsq(basis, away.T, rcond=None)[0].T @ basis.T
        along = away @ basis / scale
        expected.append(((along**2).sum(1) + (left**2).sum(1) / rest**2).min() / d)
    assert found.numpy() == pytest.approx(np.array(expected), rel=1e-3)


def test_a_flat_feature_space_does_not_divide_by_zero() -> None:
    buffers = fit_novelty(torch.ones(10, 8), np.array([0, 1] * 5), 2)
    assert all(torch.isfinite(b).all() for b in buffers.values())
    assert float(buffers["rest"]) > 0


def test_the_novelty_limit_is_exceeded_as_rarely_as_promised() -> None:
    rng = np.random.default_rng(0)
    over = [(rng.normal(size=500) > novelty_limit(rng.normal(size=199), quantile=0.95)).mean() for _ in range(400)]
    assert np.mean(over) == pytest.approx(0.05, abs=0.006)
    assert novelty_limit(np.arange(1, 51.0), quantile=0.99) == pytest.approx(55)


def test_novelty_of_few_images_in_a_wide_space_is_that_of_the_whole_covariance() -> None:
    rng = np.random.default_rng(5)
    n, d, rank = 20, 150, min(150, RANK)
    y = np.arange(n) % 2
    x = rng.normal(size=(n, d)) * np.linspace(0.1, 2, d) + 3 * y[:, None]
    buffers = fit_novelty(torch.from_numpy(x), y, 2)
    means = np.stack([x[y == c].mean(0) for c in (0, 1)])
    within = (x - means[y]) / np.sqrt(n - 2)
    values, vectors = np.linalg.eigh(within.T @ within)
    values, vectors = values[::-1][:rank], vectors[:, ::-1][:, :rank]
    rest = max((np.square(within).sum() - values.sum()) / (d - rank), 1e-6 * np.square(within).sum() / d + 1e-12)
    new = rng.normal(size=(5, d)) + 1
    away = new[:, None] - means
    along = away @ vectors
    other = np.square(away).sum(2) - np.square(along).sum(2)
    wanted = (np.square(along / np.sqrt(np.maximum(values, rest))).sum(2) + other / rest).min(1) / d
    got = squared_distance(torch.from_numpy(new).float(), *(buffers[k] for k in ("means", "basis", "scale", "rest")))
    np.testing.assert_allclose(got.numpy(), wanted, rtol=1e-3)


def test_novelty_of_few_images_in_a_wide_space_is_fitted_quickly() -> None:
    start = time.perf_counter()
    fit_novelty(torch.randn(40, 12_000), np.arange(40) % 2, 2)
    assert time.perf_counter() - start < 20  # eigenvectors of the whole space take minutes and gigabytes


def test_eigenvectors_are_found_if_divide_and_conquer_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """As MKL's did once on the features of a network with batch norm, after its training."""
    x = torch.randn(40, 30, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    usual = eigh(x.T @ x)

    def gives_up(_: torch.Tensor) -> None:
        raise torch.linalg.LinAlgError("the algorithm failed to converge")

    monkeypatch.setattr(torch.linalg, "eigh", gives_up)
    values, vectors = eigh(x.T @ x)
    torch.testing.assert_close(values, usual[0])
    torch.testing.assert_close(vectors @ torch.diag(values) @ vectors.T, x.T @ x)
    torch.testing.assert_close((vectors.T @ usual[1]).abs(), torch.eye(30, dtype=torch.float64), atol=1e-8, rtol=0)
