"""What every attack promises, over the whole of ATTACKS, both norms, two and five classes."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from facevalue import decision
from facevalue.models.classifier import Classifier
from facevalue.robustness import attacks
from facevalue.robustness.attacks import ATTACKS
from facevalue.robustness.attacks.base import Attack, AttackResult, Threat

RANDOM = {"pgd", "apgd", "square", "suite"}
# The contract does not depend on how long an attack looks.
QUICK: dict[str, dict[str, Any]] = {
    "pgd": {"steps": 5},
    "cw": {"searches": 3, "steps": 12},
    "deepfool": {"steps": 10},
    "apgd": {"steps": 8},
    "fab": {"steps": 6},
    "square": {"trials": 250},
}
Case = tuple[Classifier, Tensor, Tensor]

THREATS = {"linf": Threat("linf", 8 / 255), "l2": Threat("l2", 1.0)}

pytestmark = [
    pytest.mark.parametrize("name", list(ATTACKS)),
    pytest.mark.parametrize("norm", list(THREATS)),
]


@cache
def find(name: str) -> Attack:
    attack = attacks.find(name)
    if name == "suite":
        kinds = {"apgd-ce": "apgd", "apgd-margin": "apgd"}
        parts = tuple((part, replace(one, **QUICK[kinds.get(part, part)])) for part, one in attack.parts)
        return replace(attack, parts=parts)
    return replace(attack, **QUICK.get(name, {}))


@pytest.fixture(params=[2, 5], ids=["two", "five"])
def case(
    request: pytest.FixtureRequest,
    trained: Classifier,
    some_faces: tuple[Tensor, Tensor],
    five_classes: Case,
) -> Case:
    """A classifier, images and labels; some of the images are misclassified."""
    if request.param == 5:
        return five_classes
    x, y = some_faces[0][::3].clone(), some_faces[1][::3].clone()
    y[0] = 1 - y[0]
    return trained, x, y


_RESULTS: dict[tuple[str, str, int], AttackResult] = {}


@pytest.fixture
def result(name: str, norm: str, case: Case) -> AttackResult:
    """The attack's result on the whole case, which several tests look at; not to be changed."""
    key = (name, norm, len(case[0].card.classes))
    if key not in _RESULTS:
        _RESULTS[key] = find(name)(*case, THREATS[norm])
    return _RESULTS[key]


def same(a: AttackResult, b: AttackResult) -> bool:
    return torch.equal(a.adversarial, b.adversarial) and torch.equal(a.unrounded, b.unrounded)


def test_the_result_is_what_it_says(norm: str, case: Case, result: AttackResult) -> None:
    classifier, x, y = case
    threat = THREATS[norm]
    with torch.no_grad():
        decided = classifier.probabilities(result.adversarial).argmax(dim=1)
        decided_unrounded = classifier.probabilities(result.unrounded).argmax(dim=1)
        clean = classifier.probabilities(x).argmax(dim=1)
    for found in (result.adversarial, result.unrounded):
        assert found.shape == x.shape
        assert found.dtype == torch.float32
        assert (threat.distance(found, x) <= threat.eps + 1e-6).all()
        assert found.min() >= 0
        assert found.max() <= 1
    levels = result.adversarial * 255
    torch.testing.assert_close(levels, levels.round(), atol=1e-4, rtol=0)
    assert torch.equal(result.labels, y)
    assert torch.equal(result.clean_decisions, clean)
    assert torch.equal(result.decisions, decided)
    assert torch.equal(result.success, decided != y)
    assert torch.equal(result.success_unrounded, decided_unrounded != y)
    torch.testing.assert_close(result.distances, threat.distance(result.adversarial, x))
    assert result.seconds > 0


def test_lowers_accuracy(name: str, case: Case, result: AttackResult) -> None:
    assert 0.5 < result.clean_accuracy < 1
    assert result.robust_accuracy < result.clean_accuracy - (0.02 if find(name).black_box else 0.1)
    assert int(result.turned.sum()) == round(len(case[2]) * (result.clean_accuracy - result.robust_accuracy))


def test_misclassified_images_are_left_as_they_are(name: str, norm: str, case: Case, result: AttackResult) -> None:
    classifier, x, y = case
    wrong = result.clean_decisions != y
    assert wrong.any()
    assert result.success[wrong].all()
    assert torch.equal(result.adversarial[wrong], x[wrong])
    assert (result.queries[wrong] == 0).all()
    assert (result.queries[~wrong] > 0).all()
    only_wrong = find(name)(classifier, x[wrong], y[wrong], THREATS[norm])
    assert torch.equal(only_wrong.adversarial, x[wrong])
    assert only_wrong.robust_accuracy == 0


def test_deterministic_with_a_seed(name: str, norm: str, case: Case) -> None:
    classifier, x, y = case
    attack, threat = find(name), THREATS[norm]
    state = torch.get_rng_state()
    first = attack(classifier, x[:8], y[:8], threat, seed=5)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(99)
    assert same(first, attack(classifier, x[:8], y[:8], threat, seed=5))
    assert same(first, attack(classifier, x[:8], y[:8], threat, seed=6)) == (name not in RANDOM)


def test_leaves_the_classifier_and_the_input_alone(name: str, norm: str, case: Case, result: AttackResult) -> None:
    usual, x, y = case
    classifier = usual.changed().train()
    # A mixed state, as in fine-tuning: a frozen stem in eval mode, gradients waiting for the optimiser.
    classifier.body.stages()[0].eval()
    parameters = list(classifier.parameters())
    for i, parameter in enumerate(parameters):
        parameter.requires_grad_(i % 3 != 0)
        parameter.grad = torch.full_like(parameter, float(i)) if i % 2 else None
    weights = {key: value.clone() for key, value in classifier.state_dict().items()}
    modes = {key: module.training for key, module in classifier.named_modules()}
    images, labels = x.clone(), y.clone()

    again = find(name)(classifier, x, y, THREATS[norm])

    assert same(again, result), "not attacked in eval mode"
    assert modes == {key: module.training for key, module in classifier.named_modules()}
    assert len(set(modes.values())) == 2
    assert all(torch.equal(value, weights[key]) for key, value in classifier.state_dict().items())
    for i, parameter in enumerate(parameters):
        assert parameter.requires_grad == (i % 3 != 0)
        assert parameter.grad is None if i % 2 == 0 else bool((parameter.grad == float(i)).all())
    assert torch.equal(x, images)
    assert torch.equal(y, labels)
    assert not x.requires_grad
    assert not again.adversarial.requires_grad


def test_a_batch_of_one(name: str, norm: str, case: Case) -> None:
    classifier, x, y = case
    for row in (0, 1, 2):
        result = find(name)(classifier, x[row : row + 1], y[row : row + 1], THREATS[norm])
        assert result.adversarial.shape == (1, *x.shape[1:])
        assert (THREATS[norm].distance(result.adversarial, x[row : row + 1]) <= THREATS[norm].eps + 1e-6).all()


def test_eps_zero_gives_the_clean_images(name: str, norm: str, case: Case) -> None:
    classifier, x, y = case
    result = find(name)(classifier, x, y, Threat(norm, 0.0))
    assert torch.equal(result.adversarial, x)
    assert torch.equal(result.unrounded, x)
    assert result.robust_accuracy == result.clean_accuracy
    assert (result.distances == 0).all()
    assert (result.queries == 0).all()


def test_works_inside_no_grad_and_inference_mode(name: str, norm: str, case: Case) -> None:
    classifier, x, y = case
    expected = find(name)(classifier, x[:4], y[:4], THREATS[norm])
    with torch.no_grad():
        assert same(expected, find(name)(classifier, x[:4], y[:4], THREATS[norm]))
    with torch.inference_mode():
        assert same(expected, find(name)(classifier, x[:4].clone(), y[:4].clone(), THREATS[norm]))


def test_the_classifiers_own_threshold_decides(
    name: str, norm: str, trained: Classifier, some_faces: tuple[Tensor, Tensor]
) -> None:
    x, y = some_faces[0][::2], some_faces[1][::2]
    with torch.no_grad():
        usual = float(trained.probabilities(x)[y == 0, 0].median())
    strict = trained.changed(trained.card.changed(threshold=usual, temperature=1.5))
    result = find(name)(strict, x, y, THREATS[norm])
    with torch.no_grad():
        clean = decision.decide(strict.probabilities(x).numpy(), 0, usual)
        after = decision.decide(strict.probabilities(result.adversarial).numpy(), 0, usual)
    assert np.array_equal(result.clean_decisions.numpy(), clean)
    assert (result.decisions.numpy() == after).mean() >= 0.98  # an image on the border may fall to either side
    with torch.no_grad():
        usually = float((trained.probabilities(x).argmax(dim=1) == y).double().mean())
    assert result.clean_accuracy < usually


def test_images_off_the_grid(name: str, norm: str, case: Case) -> None:
    classifier, x, y = case
    x, y = (x[:8] + 0.3 / 255).clamp(0, 1), y[:8]
    for threat in (THREATS[norm], Threat(norm, 0.1 / 255)):
        result = find(name)(classifier, x, y, threat)
        assert (threat.distance(result.adversarial, x) <= threat.eps + 1e-6).all()


def test_is_a_frozen_value_with_a_paper(name: str, norm: str) -> None:
    attack = find(name)
    assert attack.name == name
    assert "arXiv" in attack.paper
    with pytest.raises(FrozenInstanceError):
        attack.steps = 3
