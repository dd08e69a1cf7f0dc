"""Every calibration method against an independent implementation, and what all of them promise."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from betacal import BetaCalibration
from scipy.optimize import minimize
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import log_loss
from venn_abers import VennAbers as ReferenceVennAbers

from facevalue.errors import UsageError
from facevalue.models.calibration import METHODS, CalibrationMethod, LogOddsMap, find
from facevalue.models.calibration.piecewise import KNOTS, STEP, piecewise_linear, thinned

MAPS = [method for method in METHODS.values() if isinstance(method, LogOddsMap)]


def skewed(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Log odds (n, 2) that are twice as sure as they should be where they are negative; and labels."""
    rng = np.random.default_rng(seed)
    odds = rng.normal(0, 3, n)
    truth = np.where(odds < 0, odds / 2, odds) + 0.5
    y = (rng.random(n) < 1 / (1 + np.exp(-truth))).astype(np.int64)
    return np.stack([np.zeros(n), odds], axis=1), y


def probabilities(method: CalibrationMethod, z: np.ndarray, parameters: dict) -> np.ndarray:
    return method.probabilities(torch.from_numpy(z), parameters).numpy()


@pytest.mark.parametrize(
    ("method", "k"), [(m, k) for m in METHODS.values() for k in (2, 4) if k == 2 or not m.two_classes]
)
def test_a_method_gives_probabilities_that_are_better_on_new_images(method: CalibrationMethod, k: int) -> None:
    if k == 2:
        (z, y), (new, new_y) = skewed(3000), skewed(3000, 1)
    else:
        rng = np.random.default_rng(0)
        both = rng.normal(size=(6000, k)) * 2
        p = np.exp(both * np.linspace(0.3, 1, k) + np.linspace(1, 0, k))
        drawn = (p.cumsum(1) / p.sum(1, keepdims=True) > rng.random((6000, 1))).argmax(1)
        z, y, new, new_y = both[:3000], drawn[:3000], both[3000:], drawn[3000:]
    parameters = method.fit(z, y, np.ones(len(y)))
    assert all(isinstance(value, float) for numbers in parameters.values() for value in numbers)
    after = probabilities(method, new, parameters)
    assert after.sum(1) == pytest.approx(1, abs=1e-12)
    assert after.min() >= 0
    plain = torch.softmax(torch.from_numpy(new), 1).numpy()
    if method.name == "temperature":
        assert np.array_equal(after, plain)
    else:
        assert log_loss(new_y, after) < log_loss(new_y, plain) - 0.01
    log_p = method.log_probabilities(torch.from_numpy(new), parameters).numpy()
    assert np.exp(log_p) == pytest.approx(after, abs=1e-9)


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.8])
@pytest.mark.parametrize("positive", [0, 1])
@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_an_attacks_scores_are_largest_for_the_predicted_class(
    method: CalibrationMethod, positive: int, threshold: float
) -> None:
    z, y = skewed(500)
    parameters = method.fit(z, y, np.ones(500))
    p = probabilities(method, z, parameters)
    predicted = np.where(p[:, positive] >= threshold, positive, 1 - positive)
    levels = method.levels(torch.from_numpy(z), parameters, positive, threshold).numpy()
    clear = np.abs(p[:, positive] - threshold) > 1e-6  # on a flat part at the threshold both are right
    assert (levels.argmax(1) == predicted)[clear].all()
    change = method.levels(torch.from_numpy(z + np.array([0.0, 1.0])), parameters, positive, threshold).numpy() - levels
    assert np.ptp(change, axis=0) == pytest.approx(0, abs=1e-9)  # linear in the logits


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_all_images_right_gives_finite_parameters(method: CalibrationMethod) -> None:
    odds = np.linspace(3, 12, 60) * np.tile([1, -1], 30)
    z, y = np.stack([np.zeros(60), odds], axis=1), (odds > 0).astype(np.int64)
    p = probabilities(method, z, method.fit(z, y, np.ones(60)))
    assert np.isfinite(p).all()
    assert log_loss(y, p) < 0.2
    assert p[np.arange(60), y].min() > 0.5


@pytest.mark.parametrize("method", MAPS, ids=[method.name for method in MAPS])
def test_a_map_never_falls_and_small_differences_between_engines_stay_small(method: LogOddsMap) -> None:
    z, y = skewed(400)
    parameters = method.fit(z, y, np.ones(400))
    odds = torch.linspace(-15, 15, 4001, dtype=torch.float64)
    second = method.second(odds, parameters)
    assert (second.diff() >= -1e-12).all()
    other = method.second((odds + 1e-5).float(), parameters).double()
    assert (other - second).abs().max() < 1e-4


def test_beta_is_betacals() -> None:
    z, y = skewed(2000)
    parameters = METHODS["beta"].fit(z, y, np.ones(2000))
    assert min(parameters["a"][0], parameters["b"][0]) > 0.2
    p = 1 / (1 + np.exp(-z[:, 1]))
    expected = BetaCalibration("abm").fit(p.reshape(-1, 1), y).predict(p.reshape(-1, 1))
    # Within the prior's effect, which weighs as one image of 2,000.
    assert probabilities(METHODS["beta"], z, parameters)[:, 1] == pytest.approx(expected, abs=2e-3)


def test_vector_scaling_is_the_minimum_that_another_optimiser_finds() -> None:
    z, y = skewed(500)
    parameters = METHODS["vector"].fit(z, y, np.ones(500))

    def loss(v: np.ndarray) -> float:
        new = torch.from_numpy(z * (1 + v[:2]) + v[2:])
        fit = torch.nn.functional.cross_entropy(new, torch.from_numpy(y), reduction="sum")
        return float(fit) + 0.5 * np.square(v).sum()

    best = minimize(loss, np.zeros(4), method="Nelder-Mead", options={"maxiter": 4000, "fatol": 1e-10, "xatol": 1e-7})
    found = np.r_[np.array(parameters["scale"]) - 1, parameters["offset"]]
    assert loss(found) == pytest.approx(best.fun, abs=1e-5)


def test_isotonic_has_the_blocks_of_scikit_learn() -> None:
    rng = np.random.default_rng(3)
    odds = np.arange(-60, 60) * 0.1 + 0.001  # far enough apart that each has a cell of its own
    y = (rng.random(120) < 1 / (1 + np.exp(-odds))).astype(np.int64)
    parameters = METHODS["isotonic"].fit(np.stack([np.zeros(120), odds], 1), y, np.ones(120))
    level = IsotonicRegression().fit_transform(odds, y)
    blocks = np.unique(level)
    centres = [odds[level == value].mean() for value in blocks]
    assert parameters["log_odds"] == pytest.approx(centres, abs=1e-5)
    assert parameters["probability"] == pytest.approx(np.clip(blocks, 1 / 122, 1 - 1 / 122), abs=1e-7)


def test_venn_abers_is_the_packages() -> None:
    rng = np.random.default_rng(4)
    odds = np.arange(-50, 50) * 0.1 + 0.001
    y = (rng.random(100) < 1 / (1 + np.exp(-odds))).astype(np.int64)
    z = np.stack([np.zeros(100), odds], 1)
    parameters = METHODS["venn-abers"].fit(z, y, np.ones(100))
    p = 1 / (1 + np.exp(-odds))
    reference = ReferenceVennAbers()
    reference.fit(np.stack([1 - p, p], 1), y)
    expected, _ = reference.predict_proba(np.stack([1 - p, p], 1))
    assert probabilities(METHODS["venn-abers"], z, parameters)[:, 1] == pytest.approx(expected[:, 1], abs=1e-5)


def test_a_weight_of_two_is_an_image_twice() -> None:
    z, y = skewed(150)
    twice = np.arange(150) < 60
    for name, method in METHODS.items():
        if name == "venn-abers":
            continue  # the new image has weight 1 in both, but an image's own weight differs
        weighted = method.fit(z, y, np.where(twice, 2.0, 1.0))
        repeated = method.fit(np.concatenate([z, z[twice]]), np.concatenate([y, y[twice]]), np.ones(210))
        got, expected = probabilities(method, z, weighted), probabilities(method, z, repeated)
        assert got == pytest.approx(expected, abs=1e-6), name


def test_a_piecewise_linear_map_is_numpys_interpolation() -> None:
    knots, values = (-2.0, 0.0, 0.5, 3.0), (0.1, 0.2, 0.2, 0.9)
    x = torch.linspace(-4, 5, 200, dtype=torch.float64)
    assert piecewise_linear(x, knots, values).numpy() == pytest.approx(np.interp(x.numpy(), knots, values))
    assert piecewise_linear(x, (1.0,), (0.3,)).numpy() == pytest.approx(0.3)


def test_many_knots_become_few_that_are_not_too_near() -> None:
    rng = np.random.default_rng(0)
    at = np.sort(rng.normal(size=3000))
    knots, values = thinned(at, np.sort(rng.random(3000)), np.ones(3000))
    assert KNOTS / 4 < len(knots) <= KNOTS
    assert np.diff(knots).min() >= STEP - 1e-6
    assert (np.diff(values) >= 0).all()


def test_an_unknown_method_is_named_with_those_that_exist() -> None:
    with pytest.raises(UsageError, match=r"no calibration method 'platt'.*temperature, vector, beta"):
        find("platt")
