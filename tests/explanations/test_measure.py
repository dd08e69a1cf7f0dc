"""The weight-randomisation check, and the figures on the card."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from facevalue.explanations import EXPLANATIONS, Explanation, GradCam, find
from facevalue.explanations.measure import Measure, rank_correlation, shuffled
from facevalue.explanations.report import findings

from .known_networks import patches, trained_for

HEATS = [name for name, method in EXPLANATIONS.items() if isinstance(method, Explanation)]


class Edges(Explanation):
    """Draws the edges of the image, whatever the network."""

    name = "edges"
    paper = "none"

    def refusal(self, classifier):
        return None

    def run(self, classifier, x, target):
        grey = x.detach().mean(1)
        return torch.nn.functional.pad((grey[:, 1:, 1:] - grey[:, :-1, :-1]).abs(), (1, 0, 1, 0))


def figures(method, classifier, n=24):
    measure = Measure(classifier, method)
    x, label, _ = patches(n, seed=999)
    for some, target in zip(x.split(4), label.split(4), strict=True):
        measure.add(some, method(classifier, some, target), seconds=0.5)
    return measure.figures()


@pytest.mark.parametrize("name", HEATS)
def test_shuffled_weights_destroy_the_map(name):
    found = figures(find(name), trained_for(name))
    assert found.rank_correlation_n + found.vanished == found.n
    assert found.rank_correlation_n == 0 or found.rank_correlation < 0.4
    assert "heat-ignores-weights" not in [f.code for f in findings([found])]


def test_a_method_that_ignores_the_network_is_found():
    found = figures(Edges(), trained_for("gradcam"))
    assert found.rank_correlation == pytest.approx(1)
    assert "heat-ignores-weights" in [f.code for f in findings([found])]


def test_gradcam_is_better_than_chance_and_its_opposite_is_not():
    class Opposite(Edges):
        name = "opposite"

        def run(self, classifier, x, target):
            heat = torch.from_numpy(GradCam()(classifier, x.detach(), target).heat)
            return 1 - heat

    good, bad = figures(GradCam(), trained_for("gradcam")), figures(Opposite(), trained_for("gradcam"))
    assert good.gain_ci[0] > 0 > bad.gain_ci[1]
    assert list(findings([good])) == []
    assert "heat-no-better-than-random" in [f.code for f in findings([bad])]


def test_figures_are_means_with_n():
    found = figures(GradCam(), trained_for("gradcam"), n=8)
    assert found.n + found.empty == 8
    assert found.gain == pytest.approx(found.insertion - found.deletion)
    assert found.insertion_ci[0] < found.insertion < found.insertion_ci[1]
    assert found.seconds_per_image == pytest.approx(2 * 0.5 / 8)


def test_maps_without_heat_count_in_no_figure():
    class Nothing(Edges):
        def run(self, classifier, x, target):
            return torch.zeros_like(x.detach()[:, 0])

    found = figures(Nothing(), trained_for("gradcam"), n=4)
    assert (found.n, found.empty) == (0, 4)
    assert found.insertion is found.gain is found.gain_ci is found.rank_correlation is None


def test_shuffling_keeps_each_tensors_numbers_and_the_classifier():
    classifier = trained_for("gradcam")
    before = {name: value.clone() for name, value in classifier.state_dict().items()}
    other = shuffled(classifier, seed=1)
    for (name, own), new in zip(classifier.body.named_parameters(), other.body.parameters(), strict=True):
        assert torch.equal(own.flatten().sort().values, new.flatten().sort().values), name
    assert not torch.equal(classifier.body.head.weight, other.body.head.weight)
    assert all(torch.equal(before[name], value) for name, value in classifier.state_dict().items())


def test_rank_correlation_equals_scipys():
    rng = np.random.default_rng(0)
    a, b = (rng.integers(0, 5, (4, 4)).astype(np.float32) for _ in range(2))
    assert rank_correlation(a, b) == pytest.approx(spearmanr(a.ravel(), b.ravel()).statistic)
    assert rank_correlation(a, np.ones((4, 4), np.float32)) is None
