"""Insertion and deletion areas: closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from facevalue.evaluation.metrics import mean_interval
from facevalue.explanations.areas import STEPS, insertion_and_deletion
from facevalue.explanations.faithfulness import blur_of

from .known_networks import patches, trained_classifier


def test_right_heat_inserts_early_and_deletes_early():
    classifier = trained_classifier("small-resnet")
    x, label, where = patches(12, seed=4)
    right = insertion_and_deletion(classifier, x, where, label)
    wrong = insertion_and_deletion(classifier, x, 1 - where, label)
    assert (right[0] - right[1]).mean() > 0.1
    assert (wrong[0] - wrong[1]).mean() < -0.1


def test_deleting_the_hottest_first_is_inserting_the_coldest_first_backwards():
    classifier = trained_classifier("small-resnet")
    x, label, _ = patches(4, seed=6)
    heat = torch.rand(4, 32, 32, generator=torch.Generator().manual_seed(0))
    heat = heat.flatten(1).argsort(1).argsort(1).view(4, 32, 32).float()  # no ties, none made by the tie-breaker
    _, deletion = insertion_and_deletion(classifier, x, heat, label)
    insertion, _ = insertion_and_deletion(classifier, x, 1023 - heat, label)
    np.testing.assert_allclose(deletion, insertion, atol=1e-6)


def test_area_is_the_trapezoidal_rule_over_the_curve():
    classifier = trained_classifier("small-resnet")
    x, label, _ = patches(2, seed=8)
    heat = torch.arange(1024).view(1, 32, 32).float().expand(2, -1, -1)
    curve = []
    for step in range(STEPS + 1):
        hot = torch.arange(1024).view(32, 32) >= 1024 - round(1024 * step / STEPS)
        with torch.no_grad():
            p = classifier.probabilities(torch.where(hot, x, blur_of(x)))
        curve.append(p.gather(1, label[:, None])[:, 0].numpy())
    expected = np.trapezoid(np.stack(curve), dx=1 / STEPS, axis=0)
    np.testing.assert_allclose(insertion_and_deletion(classifier, x, heat, label)[0], expected, atol=1e-6)


def test_interval_of_a_mean_equals_scipys():
    values = np.random.default_rng(0).normal(0.3, 0.1, 12)
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert mean_interval(values, -1, 1) == pytest.approx((expected.low, expected.high))
    assert mean_interval(np.array([0.99, 0.5]), 0, 1) == (0, 1)
    assert mean_interval(values[:1], 0, 1) is None
