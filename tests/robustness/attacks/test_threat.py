"""The ball: projecting, rounding and drawing stay inside it, for any image."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from facevalue.errors import UsageError
from facevalue.robustness.attacks.base import Threat

INSIDE = 1e-6

norms = st.sampled_from(["linf", "l2"])
eps_values = st.one_of(st.just(0.0), st.floats(1e-4, 1.0), st.sampled_from([k / 255 for k in (1, 2, 4, 8, 16)]))


def draw(seed: int, on_grid: bool, spread: float) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(3, 3, 8, 8, generator=generator)
    if on_grid:
        x = (x * 255).round() / 255
    return x, x + spread * torch.randn(x.shape, generator=generator)


@given(norms, eps_values, st.integers(0, 10**6), st.booleans(), st.sampled_from([0.001, 0.02, 1.0]))
def test_stays_in_the_ball_and_the_range(norm: str, eps: float, seed: int, on_grid: bool, spread: float) -> None:
    threat = Threat(norm, eps)
    x, far = draw(seed, on_grid, spread)
    projected = threat.project(far, x)
    drawn = threat.random_point(x, torch.Generator().manual_seed(seed))
    for found in (projected, drawn, threat.rounded(projected, x), threat.filled(projected, x)):
        assert (threat.distance(found, x) <= eps + INSIDE).all()
        assert found.min() >= 0
        assert found.max() <= 1
    if on_grid:
        levels = threat.rounded(projected, x) * 255
        torch.testing.assert_close(levels, levels.round(), atol=1e-4, rtol=0)


@given(norms, st.floats(0.01, 1.0), st.integers(0, 10**6))
def test_projection_leaves_what_is_inside(norm: str, eps: float, seed: int) -> None:
    x, far = draw(seed, on_grid=True, spread=1.0)
    threat = Threat(norm, eps)
    once = threat.project(far, x)
    torch.testing.assert_close(threat.project(once, x), once, atol=1e-6, rtol=0)


def test_distance() -> None:
    x = torch.zeros(2, 3, 8, 8)
    moved = x.clone()
    moved[0, 0, 0, :2] = torch.tensor([0.3, 0.4])
    assert Threat("linf", 1).distance(moved, x).tolist() == pytest.approx([0.4, 0])
    assert Threat("l2", 1).distance(moved, x).tolist() == pytest.approx([0.5, 0])


def test_rounding_takes_the_nearest_level_inside() -> None:
    x = torch.full((1, 3, 8, 8), 100 / 255)
    for away, eps, expected in ((3.4, 4, 103), (3.6, 4, 104), (3.6, 3.7, 103), (-0.4, 8, 100), (-2.55, 2.55, 98)):
        found = Threat("linf", eps / 255).rounded(x + away / 255, x)
        assert (found * 255).round().unique().tolist() == [expected]


def test_a_thin_l2_perturbation_survives_rounding() -> None:
    """Spread over all pixels it is under half a level each; its largest components are kept, as far as eps allows."""
    x = torch.full((1, 3, 16, 16), 128 / 255)
    generator = torch.Generator().manual_seed(0)
    direction = torch.randn(x.shape, generator=generator)
    eps = 5 / 255
    away = eps * direction / direction.norm()
    assert (away.abs() * 255 < 0.5).float().mean() > 0.99
    threat = Threat("l2", eps)
    levels = ((threat.filled(x + away, x) - x) * 255).round()
    changed = levels != 0
    assert int(levels.square().sum()) <= 25
    assert int(changed.sum()) >= 20
    assert (levels.sign() == direction.sign())[changed].all()
    assert direction[changed].abs().min() >= direction[~changed].abs().max()


def test_uniform_in_the_l2_ball() -> None:
    """In d dimensions the share of points within radius r is r to the power d."""
    x = torch.full((4000, 3, 1, 1), 0.5)
    radius = Threat("l2", 0.4).distance(Threat("l2", 0.4).random_point(x, torch.Generator().manual_seed(0)), x) / 0.4
    for r in (0.3, 0.6, 0.9):
        assert float((radius <= r).double().mean()) == pytest.approx(r**3, abs=0.03)


@pytest.mark.parametrize(
    ("norm", "eps", "words"),
    [
        ("l1", 0.1, "linf, l2, but got 'l1'"),
        ("linf", -0.1, "at least 0, but got -0.1"),
        ("linf", math.nan, "finite"),
        ("l2", math.inf, "finite"),
        ("linf", 8, "write 8/255"),
        ("l2", 1e300, "at most 10000"),
    ],
)
def test_wrong_threats(norm: str, eps: float, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Threat(norm, eps)


def test_threats_as_text() -> None:
    assert str(Threat("linf", 8 / 255)) == "linf 8/255"
    assert str(Threat("l2", 0.25)) == "l2 0.25"
