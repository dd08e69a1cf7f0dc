"""The linear probe against scikit-learn, and its choice of strength."""

from typing import Literal

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from torch import nn

from facevalue.models.calibration.temperature import fit_temperature
from facevalue.training.consistent_fit import Differences
from facevalue.training.probe import fit_probe, refit
from facevalue.training.settings import ProbeSettings


def blobs(n: int, classes: int, apart: float, seed: int) -> tuple[torch.Tensor, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = np.arange(n) % classes
    centres = np.random.default_rng(7).normal(size=(classes, 20))
    return torch.from_numpy(apart * centres[y] + rng.normal(size=(n, 20)) * np.linspace(0.1, 3, 20)).float(), y


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_the_head_has_scikit_learns_probabilities(classes: int) -> None:
    train, validation = blobs(300, classes, 1.0, 0), blobs(150, classes, 1.0, 1)
    probe = fit_probe(train, validation, classes, ProbeSettings(strengths=(1e-2,)))
    head = nn.Linear(20, classes)
    probe.put_into(head)
    x = train[0].double().numpy()
    scale = np.sqrt(x.var(0).mean())
    peer = LogisticRegression(C=1e-2 * 1000 / 300, max_iter=2000, tol=1e-8).fit((x - x.mean(0)) / scale, train[1])
    expected = peer.predict_proba((validation[0].numpy() - x.mean(0)) / scale)
    got = torch.softmax(head(validation[0]), 1).detach().numpy()
    assert np.abs(got - expected).max() < 2e-3
    assert probe.history[0]["validation_accuracy"] == pytest.approx(float((got.argmax(1) == validation[1]).mean()))


@pytest.mark.parametrize("scale", ["whole", "each", "kind"])
@pytest.mark.parametrize("classes", [2, 3])
def test_with_more_features_than_images_and_each_scaled_it_is_scikit_learns_too(
    classes: int, scale: Literal["whole", "each", "kind"]
) -> None:
    rng = np.random.default_rng(3)
    train, validation = blobs(60, classes, 1.0, 0), blobs(150, classes, 1.0, 1)
    wide = [
        (torch.cat([x, torch.from_numpy(rng.normal(size=(len(x), 180)) * np.linspace(0.01, 2, 180)).float()], 1), y)
        for x, y in (train, validation)
    ]
    settings = ProbeSettings(strengths=(1e-3,), scale=scale)
    probe = fit_probe(wide[0], wide[1], classes, settings, kinds=(16, 184))
    head = nn.Linear(200, classes)
    probe.put_into(head)
    x = wide[0][0].double().numpy()
    unit = np.sqrt(x.var(0).mean()) if scale == "whole" else x.std(0)
    if scale == "kind":  # 16 features to the fourth root of 16
        unit = unit * np.array([2.0] * 16 + [184**0.25] * 184)
    peer = LogisticRegression(C=1e-3 * 1000 / 60, max_iter=5000, tol=1e-8).fit((x - x.mean(0)) / unit, train[1])
    expected = peer.predict_proba((wide[1][0].double().numpy() - x.mean(0)) / unit)
    got = torch.softmax(head(wide[1][0]), 1).detach().numpy()
    assert np.abs(got - expected).max() < 2e-3


@pytest.mark.parametrize("wide", [0, 180])
@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("classes", [2, 3])
def test_with_squared_loss_it_equals_scikit_learns_ridge_regression(classes: int, balanced: bool, wide: int) -> None:
    rng = np.random.default_rng(3)
    train, validation = (
        (torch.cat([x, torch.from_numpy(rng.normal(size=(len(x), wide))).float()], 1)[keep], y[keep])
        for x, y in (blobs(90, classes, 0.3, 0), blobs(150, classes, 0.3, 1))
        for keep in [np.flatnonzero((y == 0) | (np.arange(len(y)) % 4 > 0))]
    )
    head = nn.Linear(20 + wide, classes)
    settings = ProbeSettings(strengths=(20.0,), scale="each", loss="squared")
    fit_probe(train, validation, classes, settings, balanced).put_into(head)
    x, y = train[0].double().numpy(), train[1]
    unit = x.std(0)
    z, held_out = (x - x.mean(0)) / unit, (validation[0].double().numpy() - x.mean(0)) / unit
    weights = len(y) / (classes * np.bincount(y))[y] if balanced else None
    peer = Ridge(alpha=(z**2).sum(1).mean() / 20, solver="svd").fit(z, np.eye(classes)[y], sample_weight=weights)
    expected, got = peer.predict(held_out), head(validation[0]).detach().double().numpy()
    # Up to one factor, the temperature, which is at its best on validation.
    factor = float((got * expected).sum() / (expected**2).sum())
    np.testing.assert_allclose(got, factor * expected, atol=1e-4 * np.abs(got).max())
    assert 0.7 < fit_temperature(torch.from_numpy(got), validation[1]) < 1.4


@pytest.mark.parametrize("loss", ["logistic", "squared"])
def test_a_refit_uses_all_images_and_the_chosen_settings(
    loss: Literal["logistic", "squared"],
) -> None:
    train, validation, more = (blobs(60, 2, 0.4, seed) for seed in (0, 1, 2))
    settings = ProbeSettings(strengths=(1e-4, 1e-2), scale="each", loss=loss)
    probe = fit_probe(train, validation, 2, settings)
    assert (probe.sharpness == 1) == (loss == "logistic")
    same = refit(probe, *train, settings)
    torch.testing.assert_close(same.weight, probe.weight, atol=1e-4, rtol=1e-3)
    x, y = torch.cat([train[0], more[0]]), np.concatenate([train[1], more[1]])
    again = refit(probe, x, y, settings)
    # With one strength to choose from, a fit on all says the same, up to the sharpness that validation gave.
    alone = fit_probe((x, y), validation, 2, ProbeSettings(strengths=(probe.strength,), scale="each", loss=loss))
    torch.testing.assert_close(again.weight * (alone.sharpness / probe.sharpness), alone.weight, atol=1e-4, rtol=1e-3)
    assert again.strength == probe.strength


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("wide", [0, 400])
def test_quarter_consistency_is_the_closed_form(balanced: bool, wide: int) -> None:
    """(X'WX + a I + s/4 N'N) w = X'Wy, of features less their weighted mean."""
    rng = np.random.default_rng(5)
    keep = np.flatnonzero(np.arange(90) % 3 > 0)
    x, y = blobs(90, 2, 0.3, 0)
    x, y = torch.cat([x, torch.from_numpy(rng.normal(size=(90, wide))).float()], 1)[keep], y[keep]
    y[:15] = 0
    quarters = x[:, None] + torch.from_numpy(rng.normal(size=(len(y), 4, 20 + wide))).float()
    settings = ProbeSettings(strengths=(20.0,), scale="each", loss="squared", quarter_consistency=0.3)
    probe = fit_probe((x, y), (x, y), 2, settings, balanced, differences=[Differences.between_quarters(quarters, 0.3)])
    z, unit = x.double().numpy(), x.double().numpy().std(0)
    n = ((quarters - quarters.mean(1, keepdim=True)).double().numpy() / unit).reshape(-1, 20 + wide)
    weights = len(y) / (2 * np.bincount(y))[y] if balanced else np.ones(len(y))
    alpha = (((z - z.mean(0)) / unit) ** 2).sum(1).mean() / 20
    z = (z - np.average(z, axis=0, weights=weights)) / unit
    targets = np.eye(2)[y] - np.average(np.eye(2)[y], axis=0, weights=weights)
    left = z.T @ (weights[:, None] * z) + alpha * np.eye(20 + wide) + 0.3 / 4 * n.T @ n
    expected = np.linalg.solve(left, z.T @ (weights[:, None] * targets)).T / unit
    got = probe.weight.double().numpy() / probe.sharpness
    np.testing.assert_allclose(got, expected, atol=1e-4 * np.abs(expected).max())


def test_quarter_consistency_ignores_differences_between_quarters() -> None:
    rng = np.random.default_rng(0)
    y = np.arange(400) % 2
    fine = y + rng.normal(size=400)  # as informative as the other kind, and the same for all quarters
    coarse = y + rng.normal(size=400)
    x = torch.from_numpy(np.stack([fine, coarse], 1)).float()
    apart = torch.zeros(400, 4, 2)
    apart[:, :, 1] = torch.from_numpy(rng.normal(size=(400, 4))).float()
    shares = []
    for quarter_consistency in (0.0, 1.0, 30.0):
        settings = ProbeSettings(
            strengths=(100.0,), scale="each", loss="squared", quarter_consistency=quarter_consistency
        )
        differences = (
            [Differences.between_quarters(x[:, None] + apart, quarter_consistency)] if quarter_consistency else []
        )
        probe = fit_probe((x, y), (x, y), 2, settings, differences=differences)
        shares.append(float(probe.weight[1, 1].abs() / probe.weight[1].abs().sum()))
    assert 0.4 < shares[0] < 0.6
    assert shares[0] > shares[1] + 0.1 > shares[2] + 0.2


def test_differences_of_two_kinds_are_the_closed_form_together() -> None:
    rng = np.random.default_rng(3)
    x, y = blobs(60, 2, 0.3, 0)
    kinds = [(torch.from_numpy(rng.normal(size=(m, 20))).float(), weight) for m, weight in ((7, 0.5), (30, 0.02))]
    settings = ProbeSettings(strengths=(5.0,), scale="each", loss="squared")
    probe = fit_probe((x, y), (x, y), 2, settings, differences=[Differences(*kind) for kind in kinds])
    z, unit = x.double().numpy(), x.double().numpy().std(0)
    z = (z - z.mean(0)) / unit
    targets = np.eye(2)[y] - np.eye(2)[y].mean(0)
    left = z.T @ z + (z**2).sum(1).mean() / 5 * np.eye(20)
    for features, weight in kinds:
        apart = features.double().numpy() / unit
        left += weight * apart.T @ apart
    expected = np.linalg.solve(left, z.T @ targets).T / unit
    got = probe.weight.double().numpy() / probe.sharpness
    np.testing.assert_allclose(got, expected, atol=1e-4 * np.abs(expected).max())
    again = refit(probe, x, y, settings, differences=[Differences(*kind) for kind in kinds])
    torch.testing.assert_close(again.weight, probe.weight, atol=1e-5, rtol=1e-4)


def test_differences_also_go_with_one_scale_for_all_features() -> None:
    """All features divided by one number: the same head as when the features were divided before."""
    x, y = blobs(60, 2, 0.3, 0)
    apart = torch.randn(30, 20, generator=torch.Generator().manual_seed(0))
    settings = ProbeSettings(strengths=(5.0,), scale="whole", loss="squared")
    first, second = (
        fit_probe((x / by, y), (x / by, y), 2, settings, differences=[Differences(apart / by, 0.1)]) for by in (1, 8)
    )
    torch.testing.assert_close(second.weight / 8, first.weight, atol=1e-5, rtol=1e-3)


def test_noise_gets_a_strong_penalty_and_separable_classes_not_the_weakest() -> None:
    rng = np.random.default_rng(0)
    noise = (torch.from_numpy(rng.normal(size=(60, 200))).float(), rng.integers(0, 2, 60))
    held_out = (torch.from_numpy(rng.normal(size=(200, 200))).float(), rng.integers(0, 2, 200))
    settings = ProbeSettings(strengths=(1e-6, 1e-4, 1e-2, 1.0))
    assert fit_probe(noise, held_out, 2, settings).strength <= 1e-4
    assert fit_probe(blobs(200, 2, 6.0, 0), blobs(100, 2, 6.0, 1), 2, settings).strength < 1.0


def test_balanced_weights_raise_the_recall_of_the_rare_class() -> None:
    x, y = blobs(400, 2, 0.2, 0)
    keep = np.flatnonzero((y == 0) | (np.arange(400) % 10 == 1))
    rare = (x[keep], y[keep])
    recall = {}
    for balanced in (False, True):
        head = nn.Linear(20, 2)
        fit_probe(rare, blobs(100, 2, 0.2, 1), 2, ProbeSettings(strengths=(1e-2,)), balanced).put_into(head)
        recall[balanced] = float((head(x[y == 1]).argmax(1) == 1).float().mean())
    assert recall[True] > recall[False]


def test_a_constant_feature_does_no_harm() -> None:
    x, y = blobs(200, 2, 2.0, 0)
    dead = torch.cat([x, torch.zeros(200, 3)], 1)
    scales: tuple[Literal["whole", "each", "kind"], ...] = ("whole", "each", "kind")
    for scale in scales:
        probe = fit_probe((dead, y), (dead, y), 2, ProbeSettings(strengths=(1e-2,), scale=scale))
        assert torch.isfinite(probe.weight).all()
        assert probe.weight[:, -3:].abs().max() < 1e-6
