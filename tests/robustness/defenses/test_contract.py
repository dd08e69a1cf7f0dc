"""What every defence promises, over the whole of DEFENSES."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest
import torch
from torch import Tensor

from facevalue.errors import UsageError
from facevalue.models.classifier import Classifier
from facevalue.robustness.attacks import find as find_attack
from facevalue.robustness.attacks.base import Threat
from facevalue.robustness.defenses import DEFENSES, defended, find

SMOOTHING = {"blur", "median", "tv"}
"""These take a good part of what there is in images of 25 x 25."""

names = pytest.mark.parametrize("name", list(DEFENSES))
FAR = Threat("linf", 16 / 255)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@names
def test_changes_images_to_images_and_leaves_the_given_ones(name: str, clean: tuple[Tensor, Tensor]) -> None:
    x = clean[0][:5]
    before = x.clone()
    changed = find(name)(x, generator())
    assert changed.shape == x.shape
    assert changed.dtype == x.dtype
    assert torch.equal(x, before)
    assert float(changed.min()) >= 0
    assert float(changed.max()) <= 1
    assert 0 < float((changed - x).abs().mean()) < 0.1
    assert torch.equal(changed, find(name)(x, generator()))
    assert find(name)(x[:1], generator()).shape == (1, *x.shape[1:])


@names
def test_its_gradient_is_not_hidden(name: str, clean: tuple[Tensor, Tensor]) -> None:
    x = clean[0][:4].clone().requires_grad_()
    weight = torch.randn(x.shape, generator=generator())
    (gradient,) = torch.autograd.grad((find(name)(x, generator()) * weight).sum(), x)
    assert gradient.isfinite().all()
    assert (gradient != 0).float().mean() > 0.3


@pytest.mark.parametrize("name", [name for name, defense in DEFENSES.items() if defense.differentiable])
def test_a_true_gradient_is_the_slope(name: str, clean: tuple[Tensor, Tensor]) -> None:
    defense = find(name)
    # Off the grid, so that no two neighbours are equal: there medians and flat parts have no single slope.
    x = clean[0][:1].double() * 0.8 + 0.1 + 0.02 * torch.rand(1, 3, 25, 25, generator=generator(), dtype=torch.float64)
    direction = torch.randn(x.shape, generator=generator(), dtype=torch.float64)
    weight = torch.randn(x.shape, generator=generator(), dtype=torch.float64)

    def figure(at: Tensor) -> Tensor:
        return (defense(at, generator()) * weight).sum()

    leaf = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(figure(leaf), leaf)
    step = 1e-7
    slope = (figure(x + step * direction) - figure(x - step * direction)) / (2 * step)
    assert float(slope) == pytest.approx(float((gradient * direction).sum()), rel=2e-3)


@names
def test_clean_accuracy_hardly_falls(name: str, trained: Classifier, clean: tuple[Tensor, Tensor]) -> None:
    x, y = clean
    with torch.no_grad():
        plain = (trained.decide(trained.logits(x)) == y).double().mean()
        behind = defended(trained, find(name))
        right = (behind.decide(behind.logits(x)) == y).double().mean()
    assert float(plain) > 0.9
    assert float(right) > (0.7 if name in SMOOTHING else float(plain) - 0.02)


@names
def test_the_defended_classifier_is_the_defence_and_then_the_network(
    name: str, trained: Classifier, clean: tuple[Tensor, Tensor]
) -> None:
    x, defense = clean[0][:6], find(name)
    state = {n: v.clone() for n, v in trained.state_dict().items()}
    behind = defended(trained, defense, seed=3)
    with torch.no_grad():
        got = behind.logits(x)
        if defense.draws == 1:
            assert torch.allclose(got, trained.logits(defense(x, generator())), atol=1e-5)
        assert torch.equal(got, defended(trained, defense, seed=3).logits(x))
        for name, values in trained.novelty_score.named_buffers():
            assert torch.equal(values, behind.novelty_score.get_buffer(name))
    assert all(torch.equal(value, state[n]) for n, value in trained.state_dict().items())
    assert behind.card.classes == trained.card.classes


@names
def test_attacks_go_through_it_and_lower_accuracy(name: str, trained: Classifier, clean: tuple[Tensor, Tensor]) -> None:
    x, y = clean[0][::8], clean[1][::8]
    first = find_attack("pgd")(defended(trained, find(name)), x, y, FAR, seed=1)
    assert first.robust_accuracy < first.clean_accuracy - 0.25
    again = find_attack("pgd")(defended(trained, find(name)), x, y, FAR, seed=1)
    assert torch.equal(first.adversarial, again.adversarial)


@names
def test_is_a_frozen_value_with_a_paper(name: str) -> None:
    defense = find(name)
    assert defense.name == name
    assert "arXiv" in defense.paper
    assert defense.draws >= 1
    with pytest.raises(FrozenInstanceError):
        defense.draws = 3  # type: ignore[misc]


def test_an_unknown_defence_is_an_error_that_names_the_known() -> None:
    with pytest.raises(UsageError, match="there are: jpeg, blur, median, bits, noise, tv"):
        find("prayer")
