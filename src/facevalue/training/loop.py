"""The training loop, top to bottom, over Lightning Fabric."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from facevalue.data.dataset import ImageDataset
from facevalue.errors import FaceValueError
from facevalue.evidence.findings import finding, say
from facevalue.models.classifier import Classifier
from facevalue.models.networks.base import normalise
from facevalue.models.randomness import own_random_state
from facevalue.support import progress
from facevalue.support.formats import percent
from facevalue.training.adversarial import Adversary, method_in, threat_in
from facevalue.training.augmentation import augment, mixed
from facevalue.training.checkpoint import Checkpoint, State
from facevalue.training.distillation import Teacher
from facevalue.training.foreground import foreground_of
from facevalue.training.freezing import set_mode, unfreeze
from facevalue.training.optimizer import class_weights, make_optimizer
from facevalue.training.plan import Plan
from facevalue.training.recipe import Recipe
from facevalue.training.settings import FitSettings


@own_random_state
def train_body(
    classifier: Classifier,
    train: ImageDataset,
    plan: Plan,
    recipe: Recipe,
    checkpoint: Checkpoint,
    teacher: Teacher | None = None,
) -> tuple[Classifier, list[dict[str, Any]]]:
    """Train the body. Returns a classifier with the weights that the plan keeps, and one history line per epoch.

    Continues from ``checkpoint``. On the same machine's CPU a resumed run ends with the same weights, bit for bit, as
    an uninterrupted one, because every random draw depends only on the seed and the epoch.
    """
    from lightning_fabric import Fabric

    settings, hardening, seed = recipe.fit, recipe.adversarial, recipe.seed
    fabric = Fabric(accelerator="auto", devices=1, precision=_precision(settings))
    classifier = copy.deepcopy(classifier)
    body = classifier.body.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    unfrozen = unfreeze(body, settings)
    optimizer = make_optimizer(body, recipe.optimizer, settings)
    foreground = foreground_of(train) if recipe.augment.background else None
    state = checkpoint.load()
    history = [] if state is None else state.history
    kept: dict[str, Tensor] = {}
    if state is not None:
        body.load_state_dict(dict(state.weights))
        optimizer.load_state_dict(dict(state.optimizer))
        kept = dict(state.kept)
        progress.note(f"{plan.title}: resuming after epoch {len(history)}")
    rates = [group["initial_lr"] for group in optimizer.param_groups]
    model, optimizer = fabric.setup(body, optimizer)
    classifier.to(fabric.device)
    teacher = None if teacher is None else teacher.to(fabric.device)
    weights = class_weights(train.labels, len(classifier.card.classes), settings).to(fabric.device)

    if hardening.method != "none" and hardening.ramp_epochs >= settings.epochs:
        share = threat_in(hardening, settings.epochs - 1).eps / hardening.eps
        text = (
            f"eps grows over {hardening.ramp_epochs} epochs, but there are only {settings.epochs}: training ends at "
            f"{percent(share, 0)} of eps (set adversarial.ramp_epochs=0 in `settings`)"
        )
        say([finding("eps-ramp-too-long", text, share=share, epochs=settings.epochs)])

    def network(images: Tensor) -> Tensor:
        return cast(Tensor, model(normalise(images, classifier.mean, classifier.std)))

    def step(loss: Tensor) -> None:
        optimizer.zero_grad()
        fabric.backward(loss)
        optimizer.step()

    def change(pixels: NDArray[np.uint8], indices: NDArray[np.int64], epoch: int) -> Tensor:
        return augment(pixels, recipe.augment, seed, epoch, indices, foreground)

    images = {"train": len(train), **plan.watched}
    with progress.work(plan.title, kinds={kind: n * plan.epochs for kind, n in images.items()}) as work:
        for kind, n in images.items():
            work.skip(n * len(history), kind)
        while len(history) < plan.epochs and not plan.ended(history):
            start, epoch = time.perf_counter(), len(history)
            torch.manual_seed(_seed_of(seed, epoch))
            factor = plan.factor(history, rates[0])
            for group, own in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = own * factor
            if history and history[-1].get("collapsed"):
                text = "one-step adversarial training collapsed; training goes on from the best weights, with pgd"
                say([finding("one-step-training-collapsed", text, epoch=len(history))])
                body.load_state_dict(kept)
            adversary = Adversary(
                settings=hardening,
                method=method_in(hardening, history),
                threat=threat_in(hardening, epoch),
                classifier=classifier,
                generator=torch.Generator().manual_seed(_seed_of(seed, epoch, 1)),
                autocast=fabric.autocast,
            )
            set_mode(body, unfrozen, settings)
            where = _where(plan, history, settings)

            def learned_from(n: int, loss: float, where: str = where) -> None:
                work.advance(n, f"{where}, loss {loss:.3f}", "train")

            def looked_at(n: int, kind: str, where: str = where) -> None:
                work.advance(n, f"{where}, {kind}", kind)

            batches = _shuffled(train, settings.batch_size, (seed, epoch))
            augmented = ((change(pixels, indices, epoch), labels) for pixels, labels, indices in batches)
            learned = _learn(network, augmented, recipe, epoch, adversary, step, weights, teacher, learned_from)
            held_out = plan.held_out(model, adversary, history, _seed_of(seed, epoch, 2) % 2**31, looked_at)
            line = {
                "epoch": epoch,
                "phase": "fit",
                "lr": rates[0] * factor,
                **learned,
                **held_out,
                "seconds": time.perf_counter() - start,
            }
            history = [*history, line]
            if plan.keeps(history):
                kept = {name: value.detach().cpu().clone() for name, value in body.state_dict().items()}
            checkpoint.save(State(body.state_dict(), kept, optimizer.state_dict(), history))
            work.advance(0, f"epoch {epoch + 1}: {_progress_text(line)}", "train")
    body.load_state_dict(kept)
    for parameter in body.parameters():
        parameter.requires_grad_(True)
    return classifier.cpu().eval(), history


def _shuffled(
    train: ImageDataset, size: int, seed: tuple[int, int]
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]]:
    """The batches of one epoch in random order: network inputs, labels, and positions in ``train``."""
    order, done = np.random.default_rng(seed).permutation(len(train)), 0
    for pixels, labels in train.batches(size, order):
        indices, done = order[done : done + len(labels)], done + len(labels)
        yield pixels, labels, indices


def _learn(
    network: Callable[[Tensor], Tensor],
    batches: Iterable[tuple[Tensor, NDArray[np.int64]]],
    recipe: Recipe,
    epoch: int,
    adversary: Adversary,
    step: Callable[[Tensor], None],
    weights: Tensor,
    teacher: Teacher | None,
    learned_from: Callable[[int, float], None],
) -> dict[str, float]:
    """One epoch: one optimiser step for every loss of every batch. Returns its loss and accuracy.

    Parameters
    ----------
    network : in train mode; takes images in [0, 1].
    weights : (k,) class weights, on the network's device.
    learned_from : called after each batch with its number of images and the mean loss so far.
    """
    settings, device = recipe.fit, weights.device
    total, right, seen = 0.0, 0, 0
    for images, labels in batches:
        if len(labels) == 1 and seen:
            continue  # batch norm needs at least two images
        x = images.to(device)
        y = torch.from_numpy(labels).to(device)
        target = y
        if recipe.augment.mixup or recipe.augment.cutmix:
            x, target = mixed(x, y, len(weights), recipe.augment)
        taught = None if teacher is None else teacher.logits(x)

        def loss_of(logits: Tensor, target: Tensor = target, taught: Tensor | None = taught) -> Tensor:
            plain = nn.functional.cross_entropy(
                logits, target, weight=weights, label_smoothing=settings.label_smoothing
            )
            return plain if teacher is None or taught is None else teacher.loss(logits, taught, plain)

        for loss, logits in adversary.batch_losses(network, x, target, loss_of):
            if not torch.isfinite(loss):
                raise FaceValueError(f"the loss became {loss.item()} in epoch {epoch + 1}; try a lower `lr`")
            step(loss)
            total += loss.item() * len(labels)
            right += int((logits.argmax(1) == y).sum())
            seen += len(labels)
        learned_from(len(labels), total / seen)
    return {"train_loss": total / seen, "train_accuracy": right / seen}


def _where(plan: Plan, history: Sequence[Mapping[str, Any]], settings: FitSettings) -> str:
    """The epoch under way, and the accuracy after the last one."""
    most = "at most " if settings.patience and plan.watched else ""
    accuracy = history[-1].get("validation_accuracy") if history else None
    before = "" if accuracy is None else f", accuracy {accuracy:.3f} before"
    return f"epoch {len(history) + 1} of {most}{plan.epochs}{before}"


def _progress_text(line: Mapping[str, Any]) -> str:
    """The figures of a history line as text for the progress display."""
    names = {
        "train_loss": "loss",
        "validation_loss": "validation",
        "validation_accuracy": "accuracy",
        "validation_robust_accuracy": "robust",
    }
    return ", ".join(f"{name} {line[key]:.3f}" for key, name in names.items() if key in line)


def _precision(settings: FitSettings) -> Any:
    if settings.precision == "auto":
        return "bf16-mixed" if torch.cuda.is_available() and torch.cuda.is_bf16_supported() else "32-true"
    return {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}[settings.precision]


def _seed_of(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)
