"""The deletion check, on classifiers whose decision depends on one known region."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import nn

from facevalue.evidence.card import ModelCard, NetworkFacts
from facevalue.explanations import GradCam
from facevalue.explanations.faithfulness import SHARE, Faithfulness, blurred, deletion, pooled
from facevalue.images.preprocessing import Preprocessing
from facevalue.models.classifier import Classifier
from facevalue.models.networks.base import Body

SIDE = 40


class DetailBody(Body):
    """Answers by how much fine detail (the response of a checkerboard filter) there is anywhere in the image."""

    pooled = True

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Sequential(nn.Conv2d(3, 1, 2, bias=False), nn.ReLU())
        self.layer[0].weight.data = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).expand(1, 3, 2, 2).clone()
        self.head = nn.Linear(1, 2)
        self.head.weight.data = torch.tensor([[3.0], [-3.0]])
        self.head.bias.data = torch.tensor([-1.0, 1.0])

    def maps(self, x):
        return self.layer(x)

    def embed(self, maps):
        return maps.mean((2, 3))

    def stages(self):
        return [self.layer]

    @property
    def cam_layer(self):
        return self.layer


@pytest.fixture
def detail():
    card = ModelCard(
        classes=("fine", "flat"), preprocessing=Preprocessing(size=SIDE), network=NetworkFacts(name="detail")
    )
    return Classifier(DetailBody(), card).eval()


@pytest.fixture
def patch():
    """Grey images with one checkered patch of 16 x 16 pixels (16 % of the image), and heat exactly there."""
    x = torch.full((4, 3, SIDE, SIDE), 0.5)
    heat = torch.zeros(4, SIDE, SIDE)
    board = (torch.arange(16)[:, None] + torch.arange(16)) % 2
    for i, (top, left) in enumerate([(0, 0), (20, 4), (10, 22), (24, 24)]):
        x[i, :, top : top + 16, left : left + 16] = board.float()
        heat[i, top : top + 16, left : left + 16] = 1
    return x, heat


def test_right_heat_drops_more_than_random_and_wrong_heat_less(detail, patch):
    x, heat = patch
    target = torch.zeros(4, dtype=torch.long)
    right = deletion(detail, x, heat, target)
    wrong = deletion(detail, x, 1 - heat, target)
    assert right.n == wrong.n == 4
    assert right.drop_hot > 3 * right.drop_random > 0
    assert wrong.drop_hot < 0.1 * right.drop_hot


def test_drop_is_the_probability_before_less_the_one_after(detail, patch):
    x, heat = patch
    target = torch.zeros(4, dtype=torch.long)
    # Hottest first: exactly SHARE of the pixels, those of the patch and then others that are flat grey anyway.
    ranked = heat + torch.linspace(0, 1e-3, SIDE * SIDE).view(SIDE, SIDE)
    cut = ranked.flatten(1).quantile(1 - SHARE, dim=1).view(-1, 1, 1)
    replaced = torch.where((ranked > cut).unsqueeze(1), blurred(x, SIDE / 16), x)
    with torch.no_grad():
        expected = (detail.probabilities(x) - detail.probabilities(replaced))[:, 0].mean()
    assert deletion(detail, x, ranked, target).drop_hot == pytest.approx(float(expected), abs=1e-6)


def test_same_seed_same_figures(detail, patch):
    x, heat = patch
    target = torch.zeros(4, dtype=torch.long)
    assert deletion(detail, x, heat, target, seed=3) == deletion(detail, x, heat, target, seed=3)
    assert deletion(detail, x, heat, target, seed=3).drop_random != deletion(detail, x, heat, target).drop_random


def test_images_without_heat_do_not_count(detail, patch):
    x, heat = patch
    heat[1:] = 0
    target = torch.zeros(4, dtype=torch.long)
    assert deletion(detail, x, heat, target).n == 1
    assert deletion(detail, x, heat * 0, target) == Faithfulness(None, None, 0)


def test_gradcam_is_faithful_where_the_evidence_is_in_one_place(detail, patch):
    x, _ = patch
    target = torch.zeros(4, dtype=torch.long)
    found = deletion(detail, x, torch.from_numpy(GradCam()(detail, x, target).heat), target)
    assert found.drop_hot > 3 * found.drop_random > 0


def test_blur_equals_scipys():
    x = torch.rand(2, 3, 24, 24)
    expected = gaussian_filter(x.double().numpy(), sigma=(0, 0, 1.5, 1.5), mode="mirror", truncate=4.5 / 1.5)
    np.testing.assert_allclose(blurred(x, 1.5).numpy(), expected, atol=2e-3)


def test_pooling_weights_by_images():
    parts = [Faithfulness(0.3, 0.1, 10), Faithfulness(0.6, 0.2, 20), Faithfulness(None, None, 0)]
    assert pooled(parts).to_dict() == {"drop_hot": pytest.approx(0.5), "drop_random": pytest.approx(1 / 6), "n": 30}
    assert pooled([]) == Faithfulness(None, None, 0)
