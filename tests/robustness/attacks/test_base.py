"""What the base class does around any attack: it checks, restores, and brings what it is given into the ball."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from facevalue.errors import UsageError
from facevalue.models.classifier import Classifier
from facevalue.robustness.attacks import find
from facevalue.robustness.attacks.base import Attack, Threat, Victim
from facevalue.robustness.attacks.bim import BIM
from facevalue.robustness.attacks.fgsm import FGSM
from facevalue.robustness.attacks.pgd import PGD

THREATS = [Threat("linf", 8 / 255), Threat("l2", 1.0)]
Faces = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Wild(Attack):
    """Runs far out of the ball and of [0, 1]."""

    name: ClassVar[str] = "wild"
    paper: ClassVar[str] = "none"

    def run(self, model: Victim, x: Tensor, threat: Threat, generator: torch.Generator) -> Tensor:
        return x + 5 * torch.randn(x.shape, generator=generator)


@dataclass(frozen=True)
class Below(Attack):
    """Darkens each pixel by less than half a level, so that rounding to 8 bits takes all of it back."""

    name: ClassVar[str] = "below"
    paper: ClassVar[str] = "none"

    def run(self, model: Victim, x: Tensor, threat: Threat, generator: torch.Generator) -> Tensor:
        return x - torch.linspace(0, 0.4 / 255, x[0].numel()).reshape(x[0].shape)


@dataclass(frozen=True)
class Failing(Attack):
    name: ClassVar[str] = "failing"
    paper: ClassVar[str] = "none"

    def run(self, model: Victim, x: Tensor, threat: Threat, generator: torch.Generator) -> Tensor:
        FGSM().run(model, x, threat, generator)
        raise RuntimeError("half way")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda x, y: (x * 255, y), r"in \[0, 1\], but got values from "),
        (lambda x, y: (x - 0.5, y), r"in \[0, 1\], but got values from -0"),
        (lambda x, y: (torch.full_like(x, float("nan")), y), "NaN"),
        (lambda x, y: ((x * 255).to(torch.uint8), y), "float32 .* but got uint8"),
        (lambda x, y: (x.double(), y), "float32 .* but got float64"),
        (lambda x, y: (x[:, :1], y), r"\(n, 3, 25, 25\) .* but got \(4, 1, 25, 25\)"),
        (lambda x, y: (x[:, :, :20], y), r"but got \(4, 3, 20, 25\)"),
        (lambda x, y: (x[0], y), r"but got \(3, 25, 25\)"),
        (lambda x, y: (x[:0], y[:0]), "n >= 1"),
        (lambda x, y: (x, y + 5), "labels from 0 to "),
        (lambda x, y: (x, y - 5), "labels from 0 to "),
        (lambda x, y: (x, y.float()), "labels int64 .* but got float32"),
        (lambda x, y: (x, y[:2]), r"shape \(4,\), but got int64 of shape \(2,\)"),
    ],
)
def test_wrong_input_is_an_error(
    trained: Classifier, some_faces: Faces, spoil: Callable[[Tensor, Tensor], Faces], words: str
) -> None:
    x, y = some_faces
    with pytest.raises(UsageError, match=words) as caught:
        FGSM()(trained, *spoil(x[:4], y[:4]), THREATS[0])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("threat", THREATS, ids=str)
def test_any_candidate_is_brought_into_the_ball(trained: Classifier, some_faces: Faces, threat: Threat) -> None:
    x, y = some_faces
    result = Wild()(trained, x, y, threat)
    assert (result.unrounded != x).any()
    for found in (result.adversarial, result.unrounded):
        assert (threat.distance(found, x) <= threat.eps + 1e-6).all()
        assert found.min() >= 0
        assert found.max() <= 1


def test_a_success_lost_by_rounding_is_tried_again_on_whole_levels(make_linear: Callable[..., Classifier]) -> None:
    """The sum of all pixels decides, by a margin of 0.7. A few components of the change, made whole levels, suffice."""
    x = torch.full((2, 3, 25, 25), 128 / 255)
    weight = torch.stack([torch.ones(3, 25, 25), torch.zeros(3, 25, 25)])
    classifier = make_linear(weight, torch.tensor([0.7 - float(x[0].sum()), 0.0]))
    threat = Threat("l2", 0.06)
    result = Below()(classifier, x, torch.zeros(2, dtype=torch.int64), threat)
    assert result.success_unrounded.all()
    assert result.success.all()
    levels = result.adversarial * 255
    assert torch.allclose(levels, levels.round(), atol=1e-4)
    assert (levels.round() - 128).unique().tolist() == [-1.0, 0.0]
    assert (result.distances <= threat.eps + 1e-6).all()


@pytest.mark.parametrize("threat", THREATS, ids=str)
def test_candidates_that_help_the_classifier_are_not_kept(
    trained: Classifier, some_faces: Faces, threat: Threat
) -> None:
    """Each image handed on is misclassified, or the classifier is less sure of it than of the clean one."""
    x, y = some_faces
    result = Wild()(trained, x, y, threat)
    with torch.no_grad():
        before = trained.probabilities(x)[torch.arange(len(y)), y]
        for found in (result.adversarial, result.unrounded):
            after = trained.probabilities(found)[torch.arange(len(y)), y]
            assert (after <= before + 1e-6).all()
            kept = (found == x).all(dim=3).all(dim=2).all(dim=1)
            assert kept.any()
            assert not kept.all()


def test_restores_after_a_failure(trained: Classifier, some_faces: Faces) -> None:
    classifier = trained.changed().train()
    with pytest.raises(RuntimeError, match="half way"):
        Failing()(classifier, *some_faces, THREATS[0])
    assert all(module.training for module in classifier.modules())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in classifier.parameters())


def test_counts_queries(trained: Classifier, some_faces: Faces) -> None:
    """A forward pass and a gradient are one each: two a step. What is broken costs nothing after its check."""
    x, y = some_faces
    result = FGSM()(trained, x, y, THREATS[0])
    clean_right = result.clean_decisions == y
    assert result.queries[clean_right].unique().tolist() == [2]
    assert (result.queries[~clean_right] == 0).all()
    # So small a ball that nothing breaks: all steps are taken.
    result = BIM(steps=7)(trained, x[:8], y[:8], Threat("linf", 1e-5))
    assert result.queries[result.clean_decisions == y[:8]].unique().tolist() == [14]
    large = BIM(steps=50)(trained, x, y, Threat("linf", 0.5))
    assert large.success.all()
    assert large.queries.max() < 100


@pytest.mark.parametrize("threat", [Threat("linf", 3 / 255), Threat("l2", 0.5)], ids=str)
def test_more_restarts_are_no_weaker(trained: Classifier, some_faces: Faces, threat: Threat) -> None:
    x, y = some_faces
    once, thrice = PGD(steps=5)(trained, x, y, threat), PGD(steps=5, restarts=3)(trained, x, y, threat)
    assert thrice.success[once.success].all()
    unbroken = ~thrice.success
    assert unbroken.any()
    # Only images that stand are started anew, and every start is as long.
    assert (thrice.queries[unbroken] >= 3 * 10).all()
    assert (thrice.queries[once.turned & thrice.turned] < 3 * 10).all()


def test_unknown_attacks_are_an_error() -> None:
    with pytest.raises(
        UsageError, match=r"no attack 'fgms' \(did you mean 'fgsm'\?\); there are: fgsm, bim, pgd, .*suite"
    ):
        find("fgms")


@pytest.mark.parametrize("make", [lambda: BIM(steps=0), lambda: PGD(restarts=0), lambda: PGD(reach=0.0)])
def test_wrong_settings_are_an_error(make: Callable[[], Attack]) -> None:
    with pytest.raises(UsageError, match=">= 1"):
        make()
