"""On a linear model the best perturbation is known: eps sign(w) in L-infinity, eps w / |w| in L2."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from facevalue.models.classifier import Classifier
from facevalue.robustness.attacks.apgd import APGD
from facevalue.robustness.attacks.base import Attack, Threat
from facevalue.robustness.attacks.bim import BIM
from facevalue.robustness.attacks.cw import CW
from facevalue.robustness.attacks.decision_boundary import project_to_boundary
from facevalue.robustness.attacks.deepfool import DeepFool
from facevalue.robustness.attacks.fab import FAB
from facevalue.robustness.attacks.fgsm import FGSM
from facevalue.robustness.attacks.mifgsm import MIFGSM
from facevalue.robustness.attacks.pgd import PGD
from facevalue.robustness.attacks.suite import Suite

SIZE = 8
EPS = 0.1


@pytest.fixture
def weight() -> Tensor:
    return torch.randn(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(3))


def margin(classifier: Classifier, x: Tensor) -> Tensor:
    logits = classifier.logits(x).detach()
    return logits[:, 0] - logits[:, 1]


# Mid grey, so that nothing is clipped; classes 0 and 1.
X = torch.full((2, 3, SIZE, SIZE), 0.5)
Y = torch.tensor([0, 1])


def classifier_around(make_linear: Callable[..., Classifier], weight: Tensor, bias: float) -> Classifier:
    """Image 0 of class 0 and image 1 of class 1 cannot both be right at one point; the bias decides which is."""
    offset = torch.stack([-(weight[0] * X[0]).sum() + bias, -(weight[1] * X[1]).sum()])
    return make_linear(weight, offset)


@pytest.mark.parametrize(("attack", "atol"), [(FGSM(), 1e-6), (BIM(), 1e-6), (PGD(restarts=2), 1e-6)])
@pytest.mark.parametrize("truth", [0, 1])
def test_linf(make_linear: Callable[..., Classifier], weight: Tensor, attack: Attack, atol: float, truth: int) -> None:
    # So far from the border that no attack stops early: eps |w|_1 is about 0.1 * 192 * 1.1.
    classifier = classifier_around(make_linear, weight, bias=30.0 if truth == 0 else -30.0)
    x, y = X[truth : truth + 1], Y[truth : truth + 1]
    result = attack(classifier, x, y, Threat("linf", EPS))
    away = (weight[1] - weight[0]) * (1 if truth == 0 else -1)
    torch.testing.assert_close(result.unrounded - x, EPS * away.sign()[None], atol=atol, rtol=0)
    change = margin(classifier, result.unrounded) - margin(classifier, x)
    expected = EPS * away.abs().sum() * (-1 if truth == 0 else 1)
    torch.testing.assert_close(change, expected[None], atol=1e-3, rtol=1e-5)
    assert not result.success.any()


@pytest.mark.parametrize(("attack", "atol"), [(FGSM(), 1e-6), (BIM(), 1e-6), (PGD(steps=40, reach=8.0), 2e-3)])
@pytest.mark.parametrize("truth", [0, 1])
def test_l2(make_linear: Callable[..., Classifier], weight: Tensor, attack: Attack, atol: float, truth: int) -> None:
    classifier = classifier_around(make_linear, weight, bias=30.0 if truth == 0 else -30.0)
    x, y = X[truth : truth + 1], Y[truth : truth + 1]
    result = attack(classifier, x, y, Threat("l2", EPS))
    away = (weight[1] - weight[0]) * (1 if truth == 0 else -1)
    torch.testing.assert_close(result.unrounded - x, EPS * (away / away.norm())[None], atol=atol, rtol=0)
    change = margin(classifier, result.unrounded) - margin(classifier, x)
    expected = EPS * away.norm() * (-1 if truth == 0 else 1)
    torch.testing.assert_close(change, expected[None], atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize(
    "attack",
    [
        *(FGSM(), BIM(), PGD(steps=40, reach=8.0), MIFGSM(reach=1.25), APGD(losses=("ce",)), APGD(losses=("margin",))),
        *(CW(steps=150, searches=9), DeepFool(overshoot=0.01), FAB(overshoot=0.01), Suite()),
    ],
    ids=lambda a: a.name,
)
def test_breaks_just_beyond_the_margin(
    make_linear: Callable[..., Classifier], weight: Tensor, norm: str, attack: Attack
) -> None:
    """The least eps that turns an image is margin / dual norm of w: just below nothing works, just above all do."""
    classifier = classifier_around(make_linear, weight, bias=2.0)
    away = weight[1] - weight[0]
    least = 2.0 / float(away.abs().sum() if norm == "linf" else away.norm())
    x, y = X[:1], Y[:1]
    assert not attack(classifier, x, y, Threat(norm, 0.98 * least)).success_unrounded.any()
    assert attack(classifier, x, y, Threat(norm, 1.02 * least)).success_unrounded.all()


def test_a_moved_threshold_moves_the_border(make_linear: Callable[..., Classifier], weight: Tensor) -> None:
    """p >= t is margin >= logit(t): the attack needs to cross only what the threshold leaves of the margin."""
    away = weight[1] - weight[0]
    offset = torch.stack([-(weight[0] * X[0]).sum() + 2.0, -(weight[1] * X[0]).sum()])
    logit = torch.logit(torch.tensor(0.7)).item()
    plain, strict = make_linear(weight, offset), make_linear(weight, offset, threshold=0.7)
    x, y = X[:1], Y[:1]
    eps = (2.0 - 0.5 * logit) / float(away.abs().sum())
    assert not FGSM()(plain, x, y, Threat("linf", eps)).success_unrounded.any()
    assert FGSM()(strict, x, y, Threat("linf", eps)).success_unrounded.all()
    # A temperature of 2 halves the margin before the threshold sees it.
    cool = make_linear(weight, offset, threshold=0.7, temperature=2.0)
    eps = 1.02 * (2.0 - 2 * logit) / float(away.abs().sum())
    assert FGSM()(cool, x, y, Threat("linf", eps)).success_unrounded.all()
    assert not FGSM()(strict, x, y, Threat("linf", eps)).success_unrounded.any()


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize(
    ("attack", "part"), [(DeepFool(overshoot=0), 1e-3), (FAB(overshoot=0.001), 0.01), (CW(steps=150, searches=9), 0.02)]
)
def test_the_least_perturbation(
    make_linear: Callable[..., Classifier], weight: Tensor, norm: str, attack: Attack, part: float
) -> None:
    """Where the ball is large, what these find is as long as the way to the border: margin / dual norm of w."""
    classifier = classifier_around(make_linear, weight, bias=2.0)
    away = weight[1] - weight[0]
    least = 2.0 / float(away.abs().sum() if norm == "linf" else away.norm())
    if attack.name != "deepfool" or norm == "l2":
        # One finishes inside the ball, whatever its size: ask with a ball that is hardly larger.
        result = attack(classifier, X[:1], Y[:1], Threat(norm, (1 + part) * least))
        assert result.success_unrounded.all()
    assert not attack(classifier, X[:1], Y[:1], Threat(norm, (1 - part) * least)).success_unrounded.any()


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_onto_the_border_of_a_box(norm: str) -> None:
    """Against brute force: the least length t at which clip(x + t direction) has the wanted margin."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(20, 3, 4, 4, generator=generator)
    gradient = torch.randn(x.shape, generator=generator)
    margin = torch.linspace(-8, 8, 20)
    found = project_to_boundary(x, margin, gradient, norm)
    assert found.min() >= 0
    assert found.max() <= 1
    for i in range(20):
        d = gradient[i] * -margin[i].sign()
        d = d.sign() if norm == "linf" else d / d.norm()
        lengths = torch.linspace(0, 1 if norm == "linf" else 30, 20001)[:, None, None, None]
        points = (x[i] + lengths * d).clamp(0, 1)
        left = margin[i] + (gradient[i] * (points - x[i])).sum(dim=(1, 2, 3))
        crossed = (left * margin[i].sign() <= 1e-5).nonzero()
        expected = points[int(crossed[0])] if len(crossed) else points[-1]
        torch.testing.assert_close(found[i], expected, atol=2e-3, rtol=0)
