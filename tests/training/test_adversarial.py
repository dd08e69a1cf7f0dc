"""Adversarial training: the inner attacks against closed forms on a linear model, the loop, and robust accuracy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from facevalue.data.dataset import ImageDataset, dataset_of
from facevalue.data.groups import with_groups
from facevalue.data.scan import scan
from facevalue.data.splits import with_splits
from facevalue.evidence.card import ModelCard, NetworkFacts
from facevalue.images.preprocessing import Preprocessing
from facevalue.models.classifier import Classifier
from facevalue.models.features import to_tensor
from facevalue.models.networks.base import Body
from facevalue.robustness.attacks.base import Threat
from facevalue.robustness.attacks.pgd import PGD
from facevalue.support import progress
from facevalue.training.adversarial import Adversary, collapsed, method_in, threat_in
from facevalue.training.checkpoint import Checkpoint, State
from facevalue.training.loop import train_body
from facevalue.training.methods import new_classifier
from facevalue.training.plan import ValidationPlan
from facevalue.training.recipe import Recipe, read
from facevalue.training.settings import AdversarialSettings

from .stopping import StopAfter

METHODS = ("pgd", "fast", "trades", "free")
EPS = 0.1
SIDE = 8


class Flat(Body):
    """Pixels times a matrix, with a batch norm aside that counts how often it was asked in train mode."""

    pooled = False
    spatial = False

    def __init__(self) -> None:
        super().__init__()
        self.counter = nn.BatchNorm2d(3)
        self.head = nn.Linear(3 * SIDE * SIDE, 2)

    def maps(self, x: Tensor) -> Tensor:
        self.counter(x.detach())
        return x

    def embed(self, maps: Tensor) -> Tensor:
        return maps.flatten(1)

    def stages(self) -> list[nn.Module]:
        return [self.counter]

    @property
    def cam_layer(self) -> nn.Module:
        return self.counter


@pytest.fixture
def linear() -> Classifier:
    torch.manual_seed(0)
    facts = NetworkFacts(name="linear", mean=(0.5, 0.5, 0.5))
    return Classifier(
        Flat(), ModelCard(classes=("a", "b"), preprocessing=Preprocessing(size=SIDE), network=facts)
    ).train()


@pytest.fixture
def batch() -> tuple[Tensor, Tensor]:
    """Images so far from black and white that no ball is clipped."""
    x = 0.3 + 0.4 * torch.rand(10, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    return x, torch.arange(10) % 2


def adversary(classifier: Classifier, method: str, norm: str = "linf", **settings: Any) -> Adversary:
    chosen = AdversarialSettings(method=method, norm=norm, eps=EPS, **settings)  # type: ignore[arg-type]
    return Adversary(chosen, method, threat_in(chosen, 0), classifier, torch.Generator().manual_seed(7))


def lessons(
    adversary: Adversary, x: Tensor, y: Tensor, loss: Callable[[Tensor], Tensor] | None = None
) -> list[tuple[Tensor, Tensor]]:
    """Every lesson of a batch; backward is taken and no step."""
    taken = []
    loss = loss or (lambda z: functional.cross_entropy(z, y))
    for value, logits in adversary.batch_losses(adversary.classifier.logits, x, y, loss):
        value.backward()  # type: ignore[no-untyped-call]
        taken.append((value.detach(), logits.detach()))
    return taken


def lead(logits: Tensor, y: Tensor) -> Tensor:
    """(n,) of the true class over the other."""
    return (logits[:, 0] - logits[:, 1]) * (1 - 2 * y)


def reach(classifier: Classifier, dual: int) -> float:
    """By how much an attacker can move the lead of a linear model: eps times the dual norm of its slope."""
    slope = classifier.body.head.weight.detach()[0] - classifier.body.head.weight.detach()[1]
    return EPS * float(torch.linalg.vector_norm(slope, dual))


@pytest.mark.parametrize(("norm", "dual"), [("linf", 1), ("l2", 2)])
def test_pgd_finds_the_worst_case_of_a_linear_model(
    linear: Classifier, batch: tuple[Tensor, Tensor], norm: str, dual: int
) -> None:
    x, y = batch
    clean = linear.logits(x).detach()
    ((loss, logits),) = lessons(adversary(linear, "pgd", norm, share=1.0, steps=20), x, y)
    # In L2 a step along the slope from a random start comes near the far end without reaching it.
    assert torch.allclose(lead(clean, y) - lead(logits, y), torch.full((10,), reach(linear, dual)), rtol=0.02)
    assert float(loss) == pytest.approx(
        float(functional.softplus(reach(linear, dual) - lead(clean, y)).mean()), abs=2e-3
    )


def test_trades_adds_the_known_largest_divergence_of_a_linear_model(
    linear: Classifier, batch: tuple[Tensor, Tensor]
) -> None:
    x, y = batch
    with torch.no_grad():
        logits = linear.logits(x)
        r = reach(linear, 1)
        p = logits.softmax(1)

        def divergence(by: float) -> Tensor:
            moved = logits + torch.tensor([by / 2, -by / 2])
            return functional.kl_div(moved.log_softmax(1), p, reduction="none").sum(1)

        ends = torch.stack([divergence(r), divergence(-r)])
    attack = adversary(linear, "trades", beta=3.0, steps=10)
    ((loss, given),) = lessons(attack, x, y)
    assert torch.allclose(given, logits, atol=1e-6)
    extra = (float(loss) - float(functional.cross_entropy(logits, y))) / 3.0
    assert float(ends.amin(0).mean()) - 1e-5 <= extra <= float(ends.amax(0).mean()) + 1e-5
    # Undecided images: both ends are the same, and the maximum is exact.
    slope = linear.body.head.weight[0] - linear.body.head.weight[1]
    with torch.no_grad():
        linear.body.head.bias[0] -= (logits[0, 0] - logits[0, 1]).clone()
    assert slope.abs().sum() > 0
    ((loss, given),) = lessons(adversary(linear, "trades", beta=3.0, steps=10), x[:1], y[:1])
    half = torch.tensor(r / 2)
    expected = -0.5 * (functional.logsigmoid(2 * half) + functional.logsigmoid(-2 * half)) - torch.log(
        torch.tensor(2.0)
    )
    assert float(loss) == pytest.approx(float(torch.log(torch.tensor(2.0)) + 3.0 * expected), abs=1e-4)


def test_fast_takes_one_long_step_from_a_random_start(linear: Classifier, batch: tuple[Tensor, Tensor]) -> None:
    x, y = batch
    clean = linear.logits(x).detach()
    ((_, logits),) = lessons(adversary(linear, "fast", share=1.0), x, y)
    lost = (lead(clean, y) - lead(logits, y)) / reach(linear, 1)
    # From u in [-1, 1] eps a step of 1.25, clipped at 1: between 0.25 and 1 of the way, 0.87 in the mean.
    assert (lost > 0.7).all()
    assert (lost < 1).all()
    assert float(lost.mean()) == pytest.approx(1 - 0.75**2 / 4, abs=0.03)


def test_free_replays_a_batch_and_carries_its_perturbation_on(linear: Classifier, batch: tuple[Tensor, Tensor]) -> None:
    x, y = batch
    clean = linear.logits(x).detach()
    attack = adversary(linear, "free", share=1.0, replays=3)
    taken = lessons(attack, x, y)
    assert torch.allclose(taken[0][1], clean, atol=1e-6)
    for _, logits in taken[1:]:
        assert torch.allclose(lead(clean, y) - lead(logits, y), torch.full((10,), reach(linear, 1)), atol=1e-4)
    first = lessons(attack, x[:4], y[:4])[0][1]  # a smaller batch begins where the last one ended
    assert torch.allclose(lead(clean, y)[:4] - lead(first, y[:4]), torch.full((4,), reach(linear, 1)), atol=1e-4)


@pytest.mark.parametrize("method", ["pgd", "fast", "free"])
def test_the_rest_of_a_mixed_batch_stays_clean(linear: Classifier, batch: tuple[Tensor, Tensor], method: str) -> None:
    x, y = batch
    attack = adversary(linear, method, share=0.3)
    logits = lessons(attack, x, y)[-1][1]
    same = torch.isclose(logits, linear.logits(x).detach(), atol=1e-5).all(1)
    assert same.tolist() == [False] * 3 + [True] * 7
    assert attack.attacked == 3 * (4 if method == "free" else 1)


@pytest.mark.parametrize(("method", "asked"), [("pgd", 1), ("fast", 1), ("trades", 2), ("free", 4)])
def test_the_attack_does_not_disturb_batch_norm_or_weights(
    linear: Classifier, batch: tuple[Tensor, Tensor], method: str, asked: int
) -> None:
    before = linear.body.head.weight.clone()
    lessons(adversary(linear, method), *batch)
    assert int(linear.body.counter.num_batches_tracked) == asked
    assert torch.equal(before, linear.body.head.weight)
    assert linear.training
    assert linear.body.head.weight.requires_grad


@pytest.mark.parametrize("method", METHODS)
def test_images_with_soft_labels_are_attacked_too(
    linear: Classifier, batch: tuple[Tensor, Tensor], method: str
) -> None:
    x, y = batch
    shares = 0.9 * functional.one_hot(y, 2) + 0.05
    values = lessons(adversary(linear, method), x, shares, lambda z: functional.cross_entropy(z, shares))
    assert all(bool(v.isfinite()) for v, _ in values)


def test_eps_grows_over_the_first_epochs() -> None:
    settings = AdversarialSettings(eps=0.3, ramp_epochs=2)
    assert [round(threat_in(settings, e).eps, 6) for e in range(5)] == [0.1, 0.2, 0.3, 0.3, 0.3]


def line(robust: float, **more: Any) -> dict[str, Any]:
    return {"validation_robust_accuracy": robust, **more}


def test_a_collapse_is_detected_and_training_goes_on_with_pgd() -> None:
    settings = AdversarialSettings(method="fast")
    history = [line(0.3), line(0.6)]
    assert not collapsed("fast", history, 0.4)
    assert collapsed("fast", history, 0.2)
    assert not collapsed("pgd", history, 0.2)
    assert not collapsed("fast", [], 0.0)
    assert not collapsed("fast", history, 0.2, ramp_epochs=len(history))
    assert method_in(settings, history) == "fast"
    assert method_in(settings, [*history, line(0.1, collapsed=True), line(0.5)]) == "pgd"
    assert method_in(AdversarialSettings(method="trades"), []) == "trades"


# The loop, on the embedded images.

TINY = {
    "network.size": 24,
    "network.options": {"widths": [8, 16]},
    "fit.epochs": 3,
    "fit.patience": 0,
    "adversarial.eps": 8 / 255,
    "adversarial.validation_steps": 3,
}


@pytest.fixture(scope="module")
def splits(lfw: Path) -> dict[str, ImageDataset]:
    manifest = with_splits(with_groups(scan(lfw)))
    parts = ("train", "validation", "test")
    return {s: dataset_of(manifest, recipe().preprocessing(), manifest.classes, s).held() for s in parts}


def recipe(**changes: Any) -> Recipe:
    return read("scratch", TINY | changes)


def run(splits: dict[str, ImageDataset], folder: Path, chosen: Recipe) -> tuple[Classifier, list[dict[str, Any]]]:
    classifier = new_classifier(chosen, ("face", "not-face"))
    plan = ValidationPlan(chosen, splits["validation"])
    return train_body(classifier, splits["train"], plan, chosen, Checkpoint(folder, {"run": "same"}))


@pytest.mark.parametrize("method", METHODS)
def test_a_run_that_was_stopped_and_went_on_ends_with_the_same_weights(
    splits: dict[str, ImageDataset], tmp_path: Path, method: str
) -> None:
    chosen = recipe(**{"adversarial.method": method, "adversarial.steps": 2, "adversarial.ramp_epochs": 1})
    whole, lines = run(splits, tmp_path / "whole", chosen)
    with progress.using(StopAfter(1)), pytest.raises(KeyboardInterrupt):
        run(splits, tmp_path / "parts", chosen)
    resumed, again = run(splits, tmp_path / "parts", chosen)
    for (name, a), (_, b) in zip(whole.state_dict().items(), resumed.state_dict().items(), strict=True):
        assert torch.equal(a, b), name
    figures = ("train_loss", "train_robust_accuracy", "validation_robust_accuracy", "adversarial")
    assert [[h[f] for f in figures] for h in lines] == [[h[f] for f in figures] for h in again]
    assert lines[0]["adversarial"] == method


def test_after_a_collapse_the_best_weights_go_on_with_pgd(splits: dict[str, ImageDataset], tmp_path: Path) -> None:
    chosen = recipe(**{"adversarial.method": "fast", "optimizer.lr": 1e-12, "fit.epochs": 1})
    checkpoint = Checkpoint(tmp_path / "b", {"run": "same"})
    run(splits, tmp_path / "b", chosen)
    state = checkpoint.load()
    assert state is not None
    spoilt = {name: torch.zeros_like(value) for name, value in state.weights.items()}
    first = state.history[0] | {"validation_robust_accuracy": 0.9, "collapsed": False}
    second = first | {"epoch": 1, "validation_robust_accuracy": 0.1, "collapsed": True}
    checkpoint.save(State(spoilt, state.kept, state.optimizer, [first, second]))
    longer = recipe(**{"adversarial.method": "fast", "optimizer.lr": 1e-12, "fit.epochs": 3})
    after, lines = run(splits, tmp_path / "b", longer)
    assert [h["adversarial"] for h in lines] == ["fast", "fast", "pgd"]
    assert torch.allclose(after.body.head.weight, state.kept["head.weight"], atol=1e-6)
    now = checkpoint.load()
    assert now is not None
    assert torch.allclose(now.weights["head.weight"], state.kept["head.weight"], atol=1e-6)


def test_a_ramp_longer_than_the_training_is_a_warning(
    splits: dict[str, ImageDataset], tmp_path: Path, notes: list[str]
) -> None:
    for ramp, told in ((3, 1), (2, 0)):
        notes.clear()
        chosen = recipe(**{"adversarial.method": "fast", "adversarial.ramp_epochs": ramp})
        run(splits, tmp_path / str(ramp), chosen)
        assert sum("training ends at 75 % of eps" in text for text in notes) == told


def test_it_makes_a_network_robuster_and_keeps_its_best_epoch(splits: dict[str, ImageDataset], tmp_path: Path) -> None:
    longer = {"fit.epochs": 8, "optimizer.lr": 5e-3}
    plain, _ = run(splits, tmp_path / "plain", recipe(**longer))
    hard, lines = run(splits, tmp_path / "hard", recipe(**longer, **{"adversarial.method": "pgd"}))
    x, y = to_tensor(splits["test"].pixels()), torch.from_numpy(splits["test"].labels)
    threat = Threat("linf", 8 / 255)
    before, after = (PGD()(model, x, y, threat) for model in (plain, hard))
    assert after.robust_accuracy > before.robust_accuracy + 0.1
    assert after.clean_accuracy > before.clean_accuracy - 0.1
    xv, yv = to_tensor(splits["validation"].pixels()), torch.from_numpy(splits["validation"].labels)
    best = max(h["validation_robust_accuracy"] for h in lines)
    assert PGD(steps=3)(hard, xv, yv, threat).robust_accuracy == pytest.approx(best, abs=0.08)
