"""Grad-CAM against a closed form, and against the class activation map that the exported graph holds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from facevalue.errors import UsageError
from facevalue.evidence.card import ModelCard, NetworkFacts
from facevalue.explanations import GradCam
from facevalue.images.preprocessing import Preprocessing
from facevalue.models.classifier import Classifier
from facevalue.models.networks.base import Body


class LinearBody(Body):
    """A 1x1 convolution, flattened, and a linear head: everything about it can be worked out by hand."""

    pooled = False

    def __init__(self, side: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 1, bias=False)
        self.head = nn.Linear(2 * side * side, 2, bias=False)

    def maps(self, x):
        return self.conv(x)

    def embed(self, maps):
        return maps.flatten(1)

    def stages(self):
        return [self.conv]

    @property
    def cam_layer(self):
        return self.conv


def test_closed_form_on_a_linear_network():
    """The gradient of logit t by map c is the head's own weights: heat = relu(sum_c mean(W[t, c]) A_c)."""
    side = 8
    torch.manual_seed(0)
    card = ModelCard(classes=("a", "b"), preprocessing=Preprocessing(size=side), network=NetworkFacts(name="linear"))
    classifier = Classifier(LinearBody(side), card)
    x, target = torch.rand(5, 3, side, side), torch.tensor([0, 1, 0, 1, 1])

    mix = classifier.body.conv.weight.detach().numpy()[:, :, 0, 0]  # (2, 3)
    maps = np.einsum("cr,nrhw->nchw", mix, x.numpy())
    alpha = classifier.body.head.weight.detach().numpy().reshape(2, 2, side * side).mean(2)  # (k, c)
    expected = np.maximum(np.einsum("nc,nchw->nhw", alpha[target.numpy()], maps), 0)

    found = GradCam()(classifier, x, target)
    np.testing.assert_allclose(found.raw, expected, atol=1e-6)
    assert (expected > 0).any()
    top = expected.max((1, 2), keepdims=True)
    np.testing.assert_allclose(found.heat, expected / np.where(top > 0, top, 1), atol=1e-4)


@pytest.mark.parametrize(
    ("name", "side", "classes"),
    [
        ("small-resnet", 32, ("face", "not-face")),
        ("small-resnet", 32, ("a", "b", "c")),
        ("small-inception", 64, ("face", "not-face")),
        ("resnet18", 64, ("face", "not-face")),
        ("mobilenetv2_100", 64, ("face", "not-face")),
    ],
)
def test_equals_the_graphs_heat_up_to_scale(name, side, classes, make_classifier):
    """For networks that end in pooling, Grad-CAM is the class activation map divided by the places of the map."""
    classifier = make_classifier(name, side, classes)
    assert classifier.body.pooled
    x = torch.rand(3, 3, side, side, generator=torch.Generator().manual_seed(2))
    # Each class in turn: the class decided for may have no evidence of its own, only less against it.
    x, target = x.repeat(len(classes), 1, 1, 1), torch.arange(len(classes)).repeat_interleave(3)
    found = GradCam()(classifier, x, target)
    with torch.no_grad():
        heat = classifier.heat(classifier.maps(x), target)
    places = heat.shape[1] * heat.shape[2]
    assert heat.max() > 0
    np.testing.assert_allclose(found.raw * places, heat.numpy(), rtol=1e-4, atol=1e-5 * float(heat.max()))


def test_frozen_networks_can_be_explained(small_resnet):
    frozen = small_resnet.changed()
    frozen.requires_grad_(False)
    x = torch.rand(2, 3, 32, 32)
    np.testing.assert_array_equal(GradCam()(frozen, x).raw, GradCam()(small_resnet, x).raw)


def test_networks_without_maps_are_refused(make_classifier):
    classifier = make_classifier("small-resnet", 32).changed()
    classifier.body.spatial = False
    with pytest.raises(UsageError, match="gradcam needs feature maps, and small-resnet has none"):
        GradCam()(classifier, torch.rand(1, 3, 32, 32))
