"""Moments of sources, and the change of a head for new images, against explicit computations."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from facevalue.models.added_source import RIDGE, Reach, residuals
from facevalue.models.source_space import SHRINKAGE, Moments, Space

R = 6


@pytest.fixture
def z() -> torch.Tensor:
    """Coordinates of 90 images of three sources, with mean 0."""
    rng = np.random.default_rng(0)
    points = rng.normal(0, 1, (90, R)) + 3 * np.repeat(np.eye(R)[:3], 30, axis=0)
    return torch.from_numpy(points - points.mean(0))


NUMBERS = np.repeat(np.arange(3), 30)


def test_adding_a_source_gives_the_moments_of_all_images(z: torch.Tensor) -> None:
    two = Moments.of(z[:60], NUMBERS[:60], 2)
    added, whole = two.with_source(z[60:]), Moments.of(z, NUMBERS, 3)
    torch.testing.assert_close(added.means, whole.means)
    torch.testing.assert_close(added.within, whole.within)
    torch.testing.assert_close(added.counts, whole.counts)


def test_in_the_discriminants_the_covariance_within_sources_is_the_identity(z: torch.Tensor) -> None:
    moments = Moments.of(z, NUMBERS, 3)
    through, spots = moments.discriminant()
    assert through.shape == (R, 2)
    level = moments.within.diagonal().mean()
    shrunk = (1 - SHRINKAGE) * moments.within + SHRINKAGE * level * torch.eye(R, dtype=z.dtype)
    torch.testing.assert_close(through.T @ shrunk @ through, torch.eye(2, dtype=z.dtype))
    torch.testing.assert_close(spots, moments.means @ through)
    # The sources differ in these two directions only: whitened distances between them are those of all dimensions.
    away = moments.means[0] - moments.means[1]
    whole = away @ torch.linalg.solve(shrunk, away)
    torch.testing.assert_close((spots[0] - spots[1]).square().sum(), whole)


def test_the_step_minimises_what_it_says(z: torch.Tensor) -> None:
    moments = Moments.of(z, NUMBERS, 3)
    rng = np.random.default_rng(1)
    new = torch.from_numpy(rng.normal(1, 1, (12, R)))
    sources = np.repeat([0, 1], [8, 4])
    wanted, weight = torch.from_numpy(rng.normal(0, 2, 12)), 0.3
    reach = Reach.of(moments, new)
    every = np.ones(12, bool)
    step = reach.spread @ reach.amounts(every, wanted, sources, weight)
    # The same by least squares over one row for each term of the sum.
    second = moments.second
    known = np.linalg.cholesky(second.numpy()).T
    ridge = np.sqrt(RIDGE * float(second.diagonal().mean())) * np.eye(R)
    roots = np.sqrt(weight / np.bincount(sources)[sources])
    zeros = np.zeros((R, 1))
    rows = np.vstack(
        [
            np.hstack([known, zeros]),
            np.hstack([ridge, zeros]),
            np.eye(R + 1)[-1:] * np.sqrt(1 + RIDGE),
            roots[:, None] * np.hstack([new.numpy(), np.ones((12, 1))]),
        ]
    )
    goals = np.concatenate([np.zeros(2 * R + 1), roots * wanted.numpy()])
    expected = np.linalg.lstsq(rows, goals, rcond=None)[0]
    np.testing.assert_allclose(step.numpy(), expected, atol=1e-8)
    changes = reach.changes(every, reach.amounts(every, wanted, sources, weight))
    np.testing.assert_allclose(changes.numpy(), new.numpy() @ expected[:-1] + expected[-1], atol=1e-8)


def test_a_space_is_orthonormal_and_narrow_for_few_images() -> None:
    x = torch.randn(40, 30, generator=torch.Generator().manual_seed(0))
    space = Space.of(x)
    assert space.basis.shape == (30, 10)
    torch.testing.assert_close(space.basis.T @ space.basis, torch.eye(10), atol=1e-5, rtol=0)
    torch.testing.assert_close(space.inside(x).mean(0), torch.zeros(10, dtype=torch.float64), atol=1e-6, rtol=0)


def test_an_image_that_is_right_and_sure_is_left_alone() -> None:
    margin = torch.tensor([5.0, -5.0, 1.0, -1.0], dtype=torch.float64)
    assert residuals(margin, np.array([1, 0, 1, 1])).tolist() == [0, 0, 2, 4]
