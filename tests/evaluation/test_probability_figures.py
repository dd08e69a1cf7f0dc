"""Calibration errors and scores against TorchMetrics, netcal, scikit-learn, and many draws."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import brier_score_loss, log_loss

from facevalue.evaluation import metrics
from facevalue.evaluation.probability_figures import BINS, Errors, equal_mass, probability_figures
from facevalue.models.networks import torchvision_ready


def drawn(n: int, k: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """As ``tests/environments/netcal_reference.py`` draws them."""
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(k), n)
    return np.concatenate([np.arange(k), rng.integers(0, k, n - k)]), p


def figures(y: np.ndarray, p: np.ndarray) -> dict[str, float]:
    return dict(zip(Errors.NAMES, Errors(y, p).at(np.ones(len(y))).tolist(), strict=True))


@pytest.mark.parametrize(("n", "k", "seed"), [(300, 2, 0), (700, 4, 1), (60, 3, 2)])
def test_the_figures_are_torchmetrics_and_scikit_learns(n: int, k: int, seed: int) -> None:
    torchvision_ready.ready()  # TorchMetrics imports it
    from torchmetrics.functional.classification import multiclass_calibration_error

    y, p = drawn(n, k, seed)
    got = figures(y, p)
    expected = multiclass_calibration_error(torch.from_numpy(p), torch.from_numpy(y), k, n_bins=BINS, norm="l1")
    assert got["ece"] == pytest.approx(float(expected), abs=1e-6)
    assert got["ece"] == pytest.approx(metrics.ece(y, p))
    assert got["brier"] == pytest.approx(brier_score_loss(y, p, labels=range(k), scale_by_half=False))
    assert got["nll"] == pytest.approx(log_loss(y, p, labels=range(k)))


def test_the_calibration_errors_are_netcals(root: Path) -> None:
    kept = json.loads((root / "tests" / "fixtures" / "netcal.json").read_text())
    assert len(kept["figures"]) == 3
    for row in kept["figures"]:
        got = figures(*drawn(row["n"], row["k"], row["seed"]))
        for name in ("ece", "ece_equal_mass", "ece_classwise"):
            assert got[name] == pytest.approx(row[name], abs=1e-6), (name, row)


def test_bins_of_equal_mass_are_split_as_evenly_as_numpy_does_and_keep_ties_together() -> None:
    expected = np.repeat(np.arange(BINS), [len(part) for part in np.array_split(np.arange(150), BINS)])
    assert equal_mass(np.arange(150), np.ones(150)).tolist() == expected.tolist()
    tied = equal_mass(np.array([0] * 40 + [1] * 60), np.ones(100))
    assert len(set(tied[:40])) == len(set(tied[40:])) == 1
    # A weight of two is an image twice.
    weights = np.where(np.arange(30) % 3 == 0, 2.0, 1.0)
    twice = np.repeat(np.arange(30), weights.astype(int))
    assert equal_mass(np.arange(30), weights)[twice].tolist() == equal_mass(twice, np.ones(len(twice))).tolist()


def test_chance_is_what_perfect_calibration_measures_on_as_many_images() -> None:
    rng = np.random.default_rng(0)
    first = rng.uniform(0.05, 0.95, 200)
    p = np.stack([1 - first, first], axis=1)
    measured = [metrics.ece((rng.random(200) < first).astype(int), p) for _ in range(300)]
    assert probability_figures(np.zeros(200, int), p, draws=2).ece_by_chance == pytest.approx(
        np.mean(measured), abs=0.004
    )
    assert np.mean(measured) > 0.03  # and it is far from 0


def test_intervals_cover_the_log_loss_where_images_of_a_group_are_alike() -> None:
    """Groups of ten equal images, 200 draws: intervals over images would hold the true value in half of them."""
    rng = np.random.default_rng(0)
    inside, alone = 0, 0
    first = np.repeat(0.8, 400)
    p = np.stack([1 - first, first], axis=1)
    groups = [f"g{i // 10}" for i in range(400)]
    truth = -(0.8 * np.log(0.8) + 0.2 * np.log(0.2))
    for _ in range(200):
        y = np.repeat(rng.random(40) < 0.8, 10).astype(int)
        low, high = probability_figures(y, p, groups, draws=100).nll_ci
        inside += low <= truth <= high
        low, high = probability_figures(y, p, draws=100).nll_ci
        alone += low <= truth <= high
    assert inside / 200 > 0.88
    assert alone / 200 < 0.6


def test_intervals_of_calibration_errors_hold_the_measured_value() -> None:
    y, p = drawn(200, 3, 0)
    found = probability_figures(y, p)
    for name in ("ece", "ece_equal_mass", "ece_classwise"):
        low, high = getattr(found, f"{name}_ci")
        assert 0 <= low <= getattr(found, name) <= high
