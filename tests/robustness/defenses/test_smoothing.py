"""The certificate: its bound against SciPy, its radius against the exact one of a linear model, and its promise."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from scipy.stats import binomtest, norm
from torch import Tensor, nn

import facevalue as fv
from facevalue.errors import UsageError
from facevalue.evidence.card import ModelCard, NetworkFacts
from facevalue.evidence.records import CertificateReport
from facevalue.images.preprocessing import Preprocessing
from facevalue.models.classifier import Classifier
from facevalue.models.networks.base import Body
from facevalue.robustness.certificates import certify_dataset
from facevalue.robustness.defenses.smoothing import ABSTAINED, Smoothing, certify, lower_bound, radius

SIDE = 8


class Flat(Body):
    """Pixels times a matrix."""

    pooled = False
    spatial = False

    def __init__(self) -> None:
        super().__init__()
        self.nothing = nn.Identity()
        self.head = nn.Linear(3 * SIDE * SIDE, 2)

    def maps(self, x: Tensor) -> Tensor:
        return self.nothing(x)

    def embed(self, maps: Tensor) -> Tensor:
        return maps.flatten(1)

    def stages(self) -> list[nn.Module]:
        return [self.nothing]

    @property
    def cam_layer(self) -> nn.Module:
        return self.nothing


@pytest.fixture
def linear() -> Classifier:
    torch.manual_seed(0)
    card = ModelCard(classes=("a", "b"), preprocessing=Preprocessing(size=SIDE), network=NetworkFacts(name="linear"))
    return Classifier(Flat(), card).eval()


def at_distance(linear: Classifier, distance: float) -> Tensor:
    """An image so far in L2 on the side of class 0 from the border of a linear model."""
    weight = (linear.body.head.weight[0] - linear.body.head.weight[1]).detach().double()
    bias = (linear.body.head.bias[0] - linear.body.head.bias[1]).detach().double()
    x = torch.full_like(weight, 0.5)
    x += (distance - (weight @ x + bias) / weight.norm()) * weight / weight.norm()
    return x.float().view(3, SIDE, SIDE)


@pytest.mark.parametrize(("successes", "n"), [(0, 10), (7, 10), (900, 1000), (1000, 1000)])
@pytest.mark.parametrize("alpha", [0.05, 0.001])
def test_the_bound_is_the_exact_one(successes: int, n: int, alpha: float) -> None:
    exact = binomtest(successes, n, alternative="greater").proportion_ci(1 - alpha, method="exact")
    assert lower_bound(successes, n, alpha) == pytest.approx(exact.low, abs=1e-9)


def test_the_radius_equals_cohens() -> None:
    assert radius(990, 1000, 0.25, 0.001) == pytest.approx(0.25 * norm.ppf(lower_bound(990, 1000, 0.001)))
    assert radius(500, 1000, 0.25, 0.001) == 0
    assert Smoothing(0.5, samples=1000).largest == pytest.approx(0.5 * norm.ppf(0.001 ** (1 / 1000)))


@pytest.mark.parametrize("distance", [0.1, 0.3])
def test_on_a_linear_model_it_comes_near_the_exact_radius_and_not_beyond(linear: Classifier, distance: float) -> None:
    x = at_distance(linear, distance)
    few, many = (Smoothing(sigma=0.25, samples=n, batch=2000) for n in (1000, 20_000))
    proven = []
    for smoothing in (few, many):
        answer, found = certify(linear, x, smoothing, torch.Generator().manual_seed(0))
        assert answer == 0
        assert 0 < found <= distance
        proven.append(found)
    assert proven[1] > proven[0]
    assert proven[1] == pytest.approx(distance, rel=0.12)


def test_the_certificate_holds_as_often_as_promised_and_abstains_at_the_border(linear: Classifier) -> None:
    distance = 0.2
    x = at_distance(linear, distance)
    smoothing = Smoothing(sigma=0.25, n0=20, samples=100, alpha=0.2, batch=200)
    found = [certify(linear, x, smoothing, torch.Generator().manual_seed(seed))[1] for seed in range(300)]
    broken = sum(r > distance for r in found) / 300
    assert 0.05 < broken <= 0.2 + 3 * (0.2 * 0.8 / 300) ** 0.5
    border = [
        certify(linear, at_distance(linear, 0.0), Smoothing(samples=200), torch.Generator().manual_seed(seed))
        for seed in range(30)
    ]
    assert border.count((ABSTAINED, 0.0)) >= 29


def test_it_is_the_same_with_a_seed_and_leaves_the_model_alone(linear: Classifier) -> None:
    x = at_distance(linear, 0.1)
    linear.train()
    first, second = (certify(linear, x, Smoothing(samples=50), torch.Generator().manual_seed(3)) for _ in range(2))
    assert first == second
    assert linear.training
    for sigma in (0, float("inf"), 1e308):
        with pytest.raises(UsageError, match="Expected sigma"):
            Smoothing(sigma=sigma)


def images(*given: Tensor, labels: list[int]) -> fv.ImageDataset:
    pixels = [x.mul(255).round().byte().permute(1, 2, 0).numpy() for x in given]
    return fv.ImageDataset.from_arrays(pixels, labels, classes=("a", "b")).with_preprocessing(Preprocessing(SIDE))


def test_a_constant_model_is_certified_up_to_the_largest_radius_where_it_is_right(linear: Classifier) -> None:
    with torch.no_grad():
        linear.body.head.weight.zero_()
        linear.body.head.bias.copy_(torch.tensor([1.0, 0.0]))
    grey = torch.full((3, SIDE, SIDE), 0.5)
    smoothing = Smoothing(0.25, n0=5, samples=50)
    report = certify_dataset(linear, images(grey, grey, grey, grey, labels=[0, 0, 0, 1]), smoothing)
    assert [c.accuracy for c in report.curve] == [0.75] * len(report.curve)
    assert report.curve[-1].radius == smoothing.largest
    assert report.mean_radius == pytest.approx(0.75 * smoothing.largest)  # a wrong image counts as 0
    assert (report.base_accuracy, report.abstained) == (0.75, 0)


def test_an_abstention_is_counted_and_is_not_right(linear: Classifier) -> None:
    border = at_distance(linear, 0.0)
    report = certify_dataset(linear, images(border, border, labels=[0, 1]), Smoothing(n0=20, samples=50))
    assert report.abstained == 2
    assert (report.curve[0].accuracy, report.mean_radius) == (0, 0)


def test_each_image_has_noise_of_its_own(linear: Classifier) -> None:
    """Equal images near the border get different counts, and so different radii."""
    near = at_distance(linear, 0.2)
    report = certify_dataset(linear, images(*[near] * 6, labels=[0] * 6), Smoothing(n0=20, samples=200))
    assert 0 < report.mean_radius < report.curve[-1].radius
    assert len({c.accuracy for c in report.curve}) > 2


def test_a_model_trained_with_noise_has_a_certificate_and_the_card_keeps_it(lfw: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    noisy = {"network.options": {"widths": [8, 16]}, "fit.patience": 0, "optimizer.lr": 1e-2, "augment.noise": 0.25}
    fv.train(lfw, model, recipe="scratch", size=24, epochs=15, settings=noisy)
    report = fv.certify(model, lfw, sigma=0.25, samples=100, limit=20, plot=tmp_path / "curve.png")
    assert (report.n, report.alpha, report.n0, report.samples, report.split) == (20, 0.001, 100, 100, "test")
    accuracies = [c.accuracy for c in report.curve]
    assert accuracies == sorted(accuracies, reverse=True)
    assert report.curve[0].radius == 0
    assert accuracies[0] > 0.5
    assert 0 < report.mean_radius <= report.curve[-1].radius
    assert (tmp_path / "curve.png").stat().st_size > 5_000
    kept = [e for e in ModelCard.load(model).evidence if isinstance(e, CertificateReport)]
    assert kept == [report]
    assert fv.certify(model, lfw, samples=100, limit=20, save=False).curve == report.curve
