"""The training loop, top to bottom, over Lightning Fabric."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from facevalue import progress
from facevalue.classifier import Classifier
from facevalue.errors import FaceValueError
from facevalue.networks.base import normalise
from facevalue.outputs import to_input
from facevalue.training import schedule
from facevalue.training.adversarial import Adversary, collapsed, method_in, robust_validation, threat_in
from facevalue.training.augment import augment, mixed
from facevalue.training.checkpoint import Checkpoint, State
from facevalue.training.distillation import Teacher
from facevalue.training.epochs import kept_epoch, stopped
from facevalue.training.optimizer import class_weights, make_optimizer
from facevalue.training.recipe import Recipe
from facevalue.training.samples import Sample
from facevalue.training.settings import FitSettings
from facevalue.training.thawing import set_mode, thaw


def train_body(
    classifier: Classifier,
    train: Sample,
    validation: Sample | None,
    recipe: Recipe,
    checkpoint: Checkpoint,
    teacher: Teacher | None = None,
    course: Sequence[Mapping[str, Any]] = (),
) -> tuple[Classifier, list[dict[str, Any]]]:
    """Train the body; return a classifier with the weights that ``fit.keep`` says, and one history line an epoch.

    Goes on where ``checkpoint`` stands. On one machine's CPU a run that was interrupted and went on ends with the
    same weights, bit for bit, as one that was not: every random draw is a function of the seed and the epoch.

    Parameters
    ----------
    validation : what chooses; ``None`` where a ``course`` says all that there is to choose.
    course : the history of a training with this recipe, to be run again on more pictures: as many epochs as it kept,
        at its rates (Goodfellow, Bengio & Courville 2016, *Deep Learning*, algorithm 7.2). Not adversarial.
    """
    assert (validation is None) == bool(course)
    from lightning_fabric import Fabric

    settings, hardening, seed = recipe.fit, recipe.adversarial, recipe.seed
    fabric = Fabric(accelerator="auto", devices=1, precision=_precision(settings))
    classifier = copy.deepcopy(classifier)
    body = classifier.body.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    thawed = thaw(body, settings)
    optimizer = make_optimizer(body, recipe.optimizer, settings)
    state = checkpoint.load()
    history = [] if state is None else state.history
    kept: dict[str, Tensor] = {}
    if state is not None:
        body.load_state_dict(dict(state.weights))
        optimizer.load_state_dict(dict(state.optimizer))
        kept = dict(state.kept)
        again = "training again: " if course else ""
        progress.note(f"{again}going on after epoch {len(history)}")
    rates = [group["initial_lr"] for group in optimizer.param_groups]
    model, optimizer = fabric.setup(body, optimizer)
    classifier.to(fabric.device)
    mean, std = classifier.mean, classifier.std
    teacher = None if teacher is None else teacher.to(fabric.device)
    classes = len(classifier.card.classes)
    weights = class_weights(train.pictures.labels, classes, settings).to(fabric.device)

    if hardening.method != "none" and hardening.ramp_epochs >= settings.epochs:
        share = threat_in(hardening, settings.epochs - 1).eps / hardening.eps
        progress.note(
            f"warning: eps grows over {hardening.ramp_epochs} epochs, of which there are {settings.epochs}: "
            f"training ends with {share:.0%} of it (--set adversarial.ramp_epochs=0)"
        )

    epochs = kept_epoch(course, settings) + 1 if course else settings.epochs
    with progress.work("training again on all but test" if course else "training", epochs, "epochs") as work:
        work.advance(len(history))
        for epoch in range(len(history), epochs):
            if not course and stopped(history, settings):
                break
            start = time.perf_counter()
            torch.manual_seed(_seed_of(seed, epoch))
            rate = (
                course[epoch]["lr"] / rates[0]
                if course
                else schedule.factor(recipe.schedule, epoch, epochs, [h["validation_loss"] for h in history])
            )
            for group, own in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = own * rate
            method = method_in(hardening, history)
            if history and history[-1].get("collapsed"):
                progress.note("one-step adversarial training collapsed: back to the best weights and on with pgd")
                body.load_state_dict(kept)
            adversary = Adversary(
                settings=hardening,
                method=method,
                threat=threat_in(hardening, epoch),
                classifier=classifier,
                generator=torch.Generator().manual_seed(_seed_of(seed, epoch, 1)),
                autocast=fabric.autocast,
            )
            set_mode(body, thawed, settings)
            total, right, seen = 0.0, 0, 0
            order = np.random.default_rng((seed, epoch)).permutation(len(train.pictures))
            done = 0
            for squares, labels in train.batches(order, settings.batch_size):
                indices, done = order[done : done + len(labels)], done + len(labels)
                if len(labels) == 1 and len(order) > 1:
                    continue  # batch norm has no variance of one picture
                x = augment(squares, recipe.augment, seed, epoch, indices, train.subjects).to(fabric.device)
                y = torch.from_numpy(labels).to(fabric.device)
                target = y
                if recipe.augment.mixup or recipe.augment.cutmix:
                    x, target = mixed(x, y, classes, recipe.augment)
                taught = None if teacher is None else teacher.logits(x)

                def network(pictures: Tensor) -> Tensor:
                    return cast(Tensor, model(normalise(pictures, mean, std)))

                def loss_of(logits: Tensor, target: Tensor = target, taught: Tensor | None = taught) -> Tensor:
                    plain = nn.functional.cross_entropy(
                        logits, target, weight=weights, label_smoothing=settings.label_smoothing
                    )
                    return plain if teacher is None or taught is None else teacher.loss(logits, taught, plain)

                for loss, logits in adversary.lessons(network, x, target, loss_of):
                    if not torch.isfinite(loss):
                        raise FaceValueError(f"the loss became {loss.item()} in epoch {epoch + 1}; try a lower --lr")
                    optimizer.zero_grad()
                    fabric.backward(loss)
                    optimizer.step()
                    total += loss.item() * len(labels)
                    right += int((logits.argmax(1) == y).sum())
                    seen += len(labels)
            held_out: dict[str, Any] = {}
            if validation is not None:
                softening = 1.0 if teacher is None else teacher.softening
                held_out = validate(model, validation, mean, std, settings.batch_size, softening)
                if not math.isfinite(held_out["validation_loss"]):  # the last step of an epoch may be the one too far
                    loss_text = f"{held_out['validation_loss']:g}"
                    raise FaceValueError(
                        f"the validation loss became {loss_text} in epoch {epoch + 1}; try a lower --lr"
                    )
            if method != "none" and validation is not None:
                held_out |= adversary.figures() | robust_validation(
                    classifier,
                    validation.batches(np.arange(len(validation.pictures)), settings.batch_size),
                    hardening,
                    _seed_of(seed, epoch, 2) % 2**31,
                )
                held_out["adversarial"] = method
                held_out["collapsed"] = collapsed(
                    method, history, held_out["validation_robust_accuracy"], hardening.ramp_epochs
                )
            line = {
                "epoch": epoch,
                "phase": "fit",
                "lr": rates[0] * rate,
                "train_loss": total / seen,
                "train_accuracy": right / seen,
                **held_out,
                "seconds": time.perf_counter() - start,
            }
            history = [*history, line]
            if course or kept_epoch(history, settings) == epoch:
                kept = {name: value.detach().cpu().clone() for name, value in body.state_dict().items()}
            checkpoint.save(State(body.state_dict(), kept, optimizer.state_dict(), history))
            work.advance(
                detail=f"loss {line['train_loss']:.3f}"
                + (
                    f", validation {held_out['validation_loss']:.3f}, accuracy {held_out['validation_accuracy']:.3f}"
                    if held_out
                    else ""
                )
                + (f", robust {held_out['validation_robust_accuracy']:.3f}" if method != "none" else "")
            )
    body.load_state_dict(kept)
    for parameter in body.parameters():
        parameter.requires_grad_(True)
    return classifier.cpu().eval(), history


def _precision(settings: FitSettings) -> Any:
    if settings.precision == "auto":
        return "bf16-mixed" if torch.cuda.is_available() and torch.cuda.is_bf16_supported() else "32-true"
    return {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}[settings.precision]


def _seed_of(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)


def validate(
    model: nn.Module, validation: Sample, mean: Tensor, std: Tensor, batch_size: int, softening: float = 1.0
) -> dict[str, float]:
    """Loss, of logits divided by ``softening``, and accuracy on a split, in eval mode."""
    model.eval()
    loss, right = 0.0, 0
    with torch.inference_mode():
        for squares, labels in validation.batches(np.arange(len(validation.pictures)), batch_size):
            x, y = to_input(squares, mean.device), torch.from_numpy(labels).to(mean.device)
            logits = model(normalise(x, mean, std)).float() / softening
            loss += float(nn.functional.cross_entropy(logits, y, reduction="sum"))
            right += int((logits.argmax(1) == y).sum())
    n = len(validation.pictures)
    return {"validation_loss": loss / n, "validation_accuracy": right / n}
