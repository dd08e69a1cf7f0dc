"""The training loop, top to bottom, over Lightning Fabric."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from facevalue.data.dataset import ImageDataset
from facevalue.errors import FaceValueError
from facevalue.evidence.findings import Finding, finding, say
from facevalue.models.classifier import Classifier
from facevalue.models.features import to_tensor
from facevalue.models.networks.base import Body, normalise
from facevalue.models.randomness import own_random_state
from facevalue.support import progress
from facevalue.support.formats import percent
from facevalue.training.adversarial import Adversary, method_in, threat_in
from facevalue.training.augmentation import augment, mixed
from facevalue.training.batches import Batch, one_ahead, shuffled
from facevalue.training.checkpoint import Checkpoint, State
from facevalue.training.distillation import Teacher
from facevalue.training.foreground import foreground_of
from facevalue.training.freezing import set_mode, unfreeze
from facevalue.training.frozen_stages import FrozenStages, OneLook, Running, not_kept_by
from facevalue.training.optimizer import class_weights, make_optimizer
from facevalue.training.plan import Plan
from facevalue.training.processes import Processes
from facevalue.training.recipe import Recipe
from facevalue.training.settings import FitSettings

_LOOKS = 20
"""Steps on a GPU between two looks at the loss."""


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
    settings, hardening, seed = recipe.fit, recipe.adversarial, recipe.seed
    processes = Processes.here()
    fabric = processes.fabric(settings)
    fabric.barrier()  # the leading process has decided by now what becomes of an earlier state
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
    if fabric.broadcast(len(history)) != len(history):
        raise FaceValueError(f"{checkpoint.folder} is not the same on all machines; give an `output` that all share")
    rates = [group["initial_lr"] for group in optimizer.param_groups]
    say(_of_processes(processes, body, settings))
    model, optimizer = fabric.setup(torch.compile(body) if settings.compile else body, optimizer)
    # A batch of another size would be compiled again; a single process runs it, and validation, as it is.
    plain = fabric.setup_module(body) if settings.compile and processes.count == 1 else model
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

    def run(normalised: Tensor) -> Tensor:
        return cast(Tensor, (model if len(normalised) == settings.batch_size else plain)(normalised))

    def network(images: Tensor) -> Tensor:
        return run(normalise(images, classifier.mean, classifier.std))

    def prepared(pixels: NDArray[np.uint8]) -> Tensor:
        return normalise(to_tensor(pixels, fabric.device), classifier.mean, classifier.std)

    def step(loss: Tensor) -> None:
        optimizer.zero_grad()
        fabric.backward(loss)
        optimizer.step()

    def change(batch: Batch, epoch: int) -> Tensor:
        if frozen.train is not None:
            return frozen.train.at(batch.indices)
        return augment(batch.pixels, recipe.augment, seed, epoch, batch.indices, foreground, fabric.device)

    set_mode(body, unfrozen, settings)
    why = not_kept_by(processes, fabric.device, settings)
    frozen = FrozenStages.of(Running(body, unfrozen, run, prepared), train, plan.held_out_images, recipe, why)
    own_draws = (processes.rank,) if processes.count > 1 else ()
    images = {"train": len(train), **plan.watched}
    with progress.work(plan.title, kinds={kind: n * plan.epochs for kind, n in images.items()}) as work:
        for kind, n in images.items():
            work.skip(n * len(history), kind)
        while len(history) < plan.epochs and not plan.ended(history):
            start, epoch = time.perf_counter(), len(history)
            torch.manual_seed(_seed_of(seed, epoch, *own_draws))
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
                generator=torch.Generator().manual_seed(_seed_of(seed, epoch, 1, *own_draws)),
                autocast=fabric.autocast,
            )
            set_mode(body, unfrozen, settings)
            where = _where(plan, history, settings)

            def learned_from(n: int, loss: float, where: str = where) -> None:
                work.advance(n, f"{where}, loss {loss:.3f}", "train")

            def looked_at(n: int, kind: str, where: str = where) -> None:
                work.advance(n, f"{where}, {kind}", kind)

            batches = shuffled(train, settings.batch_size, (seed, epoch), processes.rank, processes.count)
            if fabric.device.type != "cpu":
                batches = one_ahead(batches)
            augmented = ((change(batch, epoch), batch) for batch in batches)
            whole = network if frozen.train is None else frozen.train.cut.rest
            learned = _learn(whole, augmented, recipe, epoch, adversary, step, weights, teacher, learned_from)
            total, right, seen = fabric.all_reduce(learned, reduce_op="sum").tolist()
            _same_everywhere(fabric, body)
            looking = plain if frozen.validation is None else OneLook(frozen.validation, body)
            held_out = plan.held_out(looking, adversary, history, _seed_of(seed, epoch, 2) % 2**31, looked_at)
            held_out = fabric.broadcast(held_out)  # all must agree on the best epoch and on the last
            line = {
                "epoch": epoch,
                "phase": "fit",
                "lr": rates[0] * factor,
                "train_loss": total / seen,
                "train_accuracy": right / seen,
                **held_out,
                "seconds": time.perf_counter() - start,
            }
            history = [*history, line]
            if plan.keeps(history):
                kept = {name: value.detach().cpu().clone() for name, value in body.state_dict().items()}
            if processes.leads:
                checkpoint.save(State(body.state_dict(), kept, optimizer.state_dict(), history))
            work.advance(0, f"epoch {epoch + 1}: {_progress_text(line)}", "train")
    body.load_state_dict(kept)
    for parameter in body.parameters():
        parameter.requires_grad_(True)
    return classifier.cpu().eval(), history


def _of_processes(processes: Processes, body: Body, settings: FitSettings) -> Iterator[Finding]:
    """What must be said of a training in several processes."""
    norms = sum(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in body.modules())
    if processes.count > 1 and norms and not settings.freeze_batchnorm:
        text = (
            f"each of the {processes.count} processes takes the statistics of batch norm from its own "
            f"{settings.batch_size} images of a step; use large batches, or set fit.freeze_batchnorm=true"
        )
        yield finding("batch-norm-per-process", text, processes=processes.count, batch=settings.batch_size)


def _same_everywhere(fabric: Any, body: Body) -> None:
    """Give all processes the first one's batch norm statistics, so that they validate the same network."""
    if fabric.world_size > 1:
        for buffer in body.buffers():
            torch.distributed.broadcast(buffer, src=0)


def _learn(
    network: Callable[[Tensor], Tensor],
    batches: Iterable[tuple[Tensor, Batch]],
    recipe: Recipe,
    epoch: int,
    adversary: Adversary,
    step: Callable[[Tensor], None],
    weights: Tensor,
    teacher: Teacher | None,
    learned_from: Callable[[int, float], None],
) -> Tensor:
    """One epoch: one optimiser step for every loss of every batch.

    Returns (3,): the summed loss, the number of right predictions, and the number of images.

    Parameters
    ----------
    network : in train mode; takes the images of ``batches``.
    weights : (k,) class weights, on the network's device.
    learned_from : called after each batch with its number of images and the mean loss so far.
    """
    settings, device = recipe.fit, weights.device
    soft = bool(recipe.augment.mixup or recipe.augment.cutmix)
    # Read on a GPU only now and then: each time, the processor must wait for it.
    every = 1 if device.type == "cpu" else _LOOKS
    exact = torch.float32 if device.type == "mps" else torch.float64
    total, right = (torch.zeros((), dtype=exact, device=device) for _ in range(2))
    seen = unreported = 0
    for number, (x, batch) in enumerate(batches):
        if len(batch.labels) == 1 and seen:
            continue  # batch norm needs at least two images
        y = torch.from_numpy(batch.labels).to(device, non_blocking=True)
        target = y
        if soft:
            x, target = mixed(x, y, len(weights), recipe.augment)
        taught = None if teacher is None else teacher.logits(x)
        share = _share(batch, None if soft else weights)

        def loss_of(logits: Tensor, target: Tensor = target, taught: Tensor | None = taught) -> Tensor:
            plain = nn.functional.cross_entropy(
                logits, target, weight=weights, label_smoothing=settings.label_smoothing
            )
            return plain if teacher is None or taught is None else teacher.loss(logits, taught, plain)

        for loss, logits in adversary.batch_losses(network, x, target, loss_of):
            step(loss * share if share != 1 else loss)
            total += loss.detach() * (share * len(batch.step) / batch.processes)
            right += (logits.argmax(1) == y).sum()
            seen += len(batch.labels)
        unreported += len(batch.step)
        if (number + 1) % every == 0:
            learned_from(unreported, _finite(total, epoch) / seen)
            unreported = 0
    learned_from(unreported, _finite(total, epoch) / seen)
    return torch.stack([total, right, torch.tensor(seen).to(total)])


def _share(batch: Batch, weights: Tensor | None) -> float:
    """The factor by which the loss of a process is taken, so that the mean over processes is that of all images.

    Gradients are averaged over processes, but these may have different numbers of images, or different class weights.
    """
    if batch.processes == 1:
        return 1.0
    if weights is None:
        return batch.processes * len(batch.labels) / len(batch.step)
    of_class = weights.cpu().numpy()
    return float(batch.processes * of_class[batch.labels].sum() / of_class[batch.step].sum())


def _finite(total: Tensor, epoch: int) -> float:
    """The summed loss as a number.

    Raises
    ------
    FaceValueError
        It is not finite.
    """
    value = float(total)
    if not math.isfinite(value):
        raise FaceValueError(f"the loss became {value} in epoch {epoch + 1}; try a lower `lr`")
    return value


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


def _seed_of(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)
