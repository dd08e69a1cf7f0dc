"""Integrated gradients: completeness, and the closed form on a linear network."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from facevalue.explanations import IntegratedGradients
from facevalue.explanations.integrated_gradients import baseline

from .known_networks import flat_classifier, patches, trained_classifier


@pytest.mark.parametrize("name", ["small-resnet", "vit_tiny_patch16_224"])
def test_attributions_sum_to_the_difference_of_the_logits(name):
    classifier = trained_classifier(name)
    x, target, _ = patches(6, seed=77)
    found = IntegratedGradients(steps=128, most_steps=512, tolerance=0.02)(classifier, x, target)
    with torch.no_grad():
        gain = (classifier.logits(x) - classifier.logits(baseline(classifier, x))).gather(1, target[:, None])[:, 0]
    assert float(gain.abs().max()) > 1
    np.testing.assert_allclose(found.raw.sum((1, 2)), gain.numpy(), rtol=0.02, atol=0.01)


def test_closed_form_on_a_linear_network():
    """The gradient is the same on the whole way: weight times the distance from the plain image."""
    flat = flat_classifier()
    x, target = torch.rand(3, 3, 8, 8), torch.tensor([0, 1, 0])
    weights = flat.body.head.weight.detach()[target].view(3, 3, 8, 8)
    expected = (weights * (x - flat.mean)).sum(1)
    np.testing.assert_allclose(IntegratedGradients()(flat, x, target).raw, expected.numpy(), atol=1e-5)


def test_too_few_steps_are_said(notes):
    classifier = trained_classifier("small-resnet")
    x, target, _ = patches(4, seed=78)
    IntegratedGradients(steps=2, most_steps=2, tolerance=1e-4)(classifier, x, target)
    assert any("attributions-do-not-add-up" in note and "after 2 steps" in note for note in notes)
    notes.clear()
    IntegratedGradients(steps=2, most_steps=1024, tolerance=0.1)(classifier, x, target)
    assert notes == []
