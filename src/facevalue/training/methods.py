"""The three training methods: probe, finetune and scratch."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from facevalue.data.dataset import ImageDataset, held
from facevalue.data.strangers import DRAWN_TO_FIT
from facevalue.errors import FaceValueError, UsageError
from facevalue.evaluation.calibration_set import CalibrationSet
from facevalue.evidence.card import ModelCard
from facevalue.evidence.provenance import Provenance
from facevalue.models.classifier import Classifier
from facevalue.models.features import Extractor, Features
from facevalue.models.networks.base import Body
from facevalue.models.networks.weights import Wanted, prepare
from facevalue.models.randomness import own_random_state
from facevalue.models.weight_sharing import sharing_weights
from facevalue.support import machine, progress
from facevalue.training.calibration_images import calibration_set
from facevalue.training.checkpoint import Checkpoint
from facevalue.training.distillation import open_teacher
from facevalue.training.loop import train_body
from facevalue.training.plan import RefitPlan, ValidationPlan
from facevalue.training.probe import Probe, fit_probe, refit
from facevalue.training.probe_features import differences, probe_features
from facevalue.training.processes import Processes
from facevalue.training.recipe import Recipe


@dataclass(frozen=True)
class Trained:
    """A trained classifier before calibration, and its features of every split.

    Attributes
    ----------
    extractor : computes further features of ``classifier``.
    calibration : the calibration split as it is and after everyday damage; ``None`` if there is no such split.
    seconds : of training alone, without calibration, evaluation and export.
    seconds_per_epoch : of the training loop; for a probe, of one pass that computes the features.
    refitted : with ``refit``, the classifier trained on all splits except test, its features of ``train`` and
        ``test``, and its extractor. Model choice and calibration use ``classifier``, which has not seen those images.
    """

    classifier: Classifier
    features: Mapping[str, Features]
    extractor: Extractor
    calibration: CalibrationSet | None
    history: list[dict[str, Any]]
    seconds: float
    seconds_per_epoch: float
    refitted: tuple[Classifier, Mapping[str, Features], Extractor] | None = None

    @property
    def last_extractor(self) -> Extractor:
        """Computes features of the classifier that is kept."""
        return self.extractor if self.refitted is None else self.refitted[2]

    @property
    def last_features(self) -> Mapping[str, Features]:
        """Features of ``train`` and ``test`` by the classifier that is kept."""
        return self.features if self.refitted is None else self.refitted[1]


@own_random_state
def new_classifier(recipe: Recipe, classes: tuple[str, ...]) -> Classifier:
    """The untrained classifier of a recipe: initial weights and a new head; the same for the same seed.

    Raises
    ------
    UsageError
        The recipe looks for faces, and the face detector is not there.
    """
    gate = recipe.gate.opened()
    torch.manual_seed(recipe.seed)
    preprocessing = recipe.preprocessing()
    wanted = recipe.network
    body, facts = prepare(
        Wanted(
            name=wanted.name,
            classes=len(classes),
            size=preprocessing.size,
            weights=wanted.weights,
            options=wanted.options,
            convention=wanted.convention,
            mean=wanted.mean,
            std=wanted.std,
        )
    )
    card = ModelCard(
        classes=classes,
        positive=(recipe.positive or classes[-1]) if len(classes) == 2 else recipe.positive,
        preprocessing=preprocessing,
        gate=None if gate is None else gate.facts,
        network=facts,
        recipe=recipe.to_dict(),
        provenance=Provenance(seed=recipe.seed),
    )
    return Classifier(body, card, gate=gate).eval()


@own_random_state
def train_method(
    classifier: Classifier, splits: Mapping[str, ImageDataset], recipe: Recipe, checkpoint: Checkpoint
) -> Trained:
    """Train with the method of the recipe.

    Parameters
    ----------
    splits : ``train``, ``validation``, ``calibration`` and ``test``. Only features are computed of the last two; with
        ``refit`` the second training also uses calibration.
    """
    if Processes.here().count > 1:
        expect_loop(recipe)
    if recipe.method == "probe":
        return _probe(classifier, splits, recipe)
    return _loop(classifier, splits, recipe, checkpoint)


def follow(classifier: Classifier, splits: Mapping[str, ImageDataset], recipe: Recipe, checkpoint: Checkpoint) -> None:
    """The part of :func:`train_method` in a process that does not lead: training alone, as the others do it.

    Raises
    ------
    UsageError
        The recipe trains no body, so there is nothing to share out.
    """
    expect_loop(recipe)
    own_random_state(_bodies)(classifier, held(splits), recipe, checkpoint)


def expect_loop(recipe: Recipe) -> None:
    """Raise ``UsageError`` if the recipe trains no body, so that there is nothing to share out over processes."""
    if recipe.method == "probe":
        raise UsageError("a probe computes every image once and runs in one process; start it without torchrun")


@dataclass(frozen=True, eq=False)
class _Bodies:
    """Trained classifiers: ``once`` on train, ``again`` on all splits except test with ``refit``."""

    once: Classifier
    again: Classifier | None
    head: list[dict[str, Any]]
    lines: list[dict[str, Any]]


def _bodies(
    classifier: Classifier, splits: Mapping[str, ImageDataset], recipe: Recipe, checkpoint: Checkpoint
) -> _Bodies:
    teacher = open_teacher(recipe.distill, classifier.card.classes)
    history: list[dict[str, Any]] = []
    if recipe.method == "finetune":
        # Head first (Kumar et al. 2022, arXiv:2202.10054): gradients of a random head would distort the backbone.
        extractor = Extractor(classifier)
        with progress.within("head first"):
            train, validation = (extractor.of(splits[name]) for name in ("train", "validation"))
            probe = _fit(classifier.body, train, validation, recipe)
        classifier = with_head(classifier, probe)
        history = probe.history
    plan = ValidationPlan(recipe, splits["validation"], 1.0 if teacher is None else teacher.softening)
    once, lines = train_body(classifier, splits["train"], plan, recipe, checkpoint, teacher)
    again = None
    if recipe.refit:
        every = splits["train"].joined(splits["validation"], splits["calibration"], name="train")
        again, _ = train_body(
            classifier, every, RefitPlan(lines, recipe.fit), recipe, checkpoint.inside("again"), teacher
        )
    return _Bodies(once, again, history, lines)


def _loop(
    classifier: Classifier, splits: Mapping[str, ImageDataset], recipe: Recipe, checkpoint: Checkpoint
) -> Trained:
    start = time.perf_counter()
    splits = held(splits)
    bodies = _bodies(classifier, splits, recipe, checkpoint)
    once, lines = bodies.once, bodies.lines
    seconds = time.perf_counter() - start

    refitted = None
    if bodies.again is not None:
        extractor = Extractor(bodies.again, expected=_expected({name: splits[name] for name in ("train", "test")}))
        with progress.within("after the second training"):
            again = {name: extractor.of(splits[name]) for name in ("train", "test")}
        refitted = bodies.again, again, extractor
        if not again["train"].logits(bodies.again).isfinite().all():  # the first training checks the validation loss
            raise FaceValueError("the second training (refit) ended with NaN or infinite logits; try a lower `lr`")
    extractor = Extractor(once, expected=_expected(splits))
    features = {name: extractor.of(dataset) for name, dataset in splits.items()}
    return Trained(
        classifier=once,
        features=features,
        extractor=extractor,
        calibration=_held_out(extractor, splits, features, recipe),
        history=[*bodies.head, *lines],
        seconds=seconds,
        seconds_per_epoch=sum(line["seconds"] for line in lines) / len(lines),
        refitted=refitted,
    )


def _probe(classifier: Classifier, splits: Mapping[str, ImageDataset], recipe: Recipe) -> Trained:
    start = time.perf_counter()
    # What is looked at more than once is decoded once.
    again = {"calibration", *(["train"] if recipe.probe.copies else [])} & splits.keys()
    splits = {**splits, **held({name: splits[name] for name in again})}
    extractor = Extractor(classifier, expected=_expected(splits))
    parts = probe_features(classifier, splits, recipe, extractor)
    computed = time.perf_counter()
    probe = _fit(classifier.body, parts["train"], parts["validation"], recipe)
    machine.trim_memory()  # of the fit: what comes next need not fit into the same pieces
    once, refitted = with_head(classifier, probe), None
    if recipe.refit:
        every = parts["train"].joined(parts["validation"], parts["calibration"])
        with progress.work("fitting the head to all splits except test", 1, "fits") as work:
            balanced, kinds = recipe.fit.class_weights == "balanced", classifier.body.kinds
            ignored = differences(every, recipe.probe)
            refitted = with_head(classifier, refit(probe, every.x, every.y, recipe.probe, balanced, kinds, ignored))
            work.advance()
        del every, ignored
        machine.trim_memory()
    seconds = time.perf_counter() - start

    # Rows of copies come after those of the images themselves. What was only for the fit may be gigabytes.
    own = {name: part.rows(0, len(splits[name])) for name, part in parts.items()}
    if any(part.contrasts is not None for part in parts.values()):
        own = {name: part.alone() for name, part in own.items()}
    del parts
    machine.trim_memory()

    return Trained(
        classifier=once,
        features=own,
        extractor=extractor,
        calibration=_held_out(extractor, splits, own, recipe),
        history=probe.history,
        seconds=seconds,
        seconds_per_epoch=computed - start,
        refitted=None if refitted is None else (refitted, {name: own[name] for name in ("train", "test")}, extractor),
    )


def _expected(splits: Mapping[str, ImageDataset]) -> int:
    """Number of images that an extractor computes in all: at least those of the splits and the drawn strangers.

    A search has no test split, and no strangers either.
    """
    return sum(len(dataset) for dataset in splits.values()) + ("test" in splits) * DRAWN_TO_FIT


def _held_out(
    extractor: Extractor, splits: Mapping[str, ImageDataset], features: Mapping[str, Features], recipe: Recipe
) -> CalibrationSet | None:
    """The set to calibrate on; ``None`` in a search, whose trials are not calibrated."""
    if "calibration" not in splits:
        return None
    return calibration_set(extractor, splits["calibration"], features["calibration"], recipe.calibration)


def _fit(body: Body, train: Features, validation: Features, recipe: Recipe) -> Probe:
    return fit_probe(
        (train.x, train.y),
        (validation.x, validation.y),
        body.head.out_features,
        recipe.probe,
        recipe.fit.class_weights == "balanced",
        body.kinds,
        differences(train, recipe.probe),
    )


def with_head(classifier: Classifier, probe: Probe) -> Classifier:
    """A classifier whose last layer is the probe's; the other weights lie in the memory of ``classifier``."""
    new = sharing_weights(classifier, own=classifier.body.head)
    probe.put_into(new.body.head)
    return new.eval()


def identity(recipe: Recipe, fingerprint: str, weights: str | None = None) -> dict[str, Any]:
    """Equal for two training runs with the same recipe, seed, images and initial weights.

    Parameters
    ----------
    fingerprint : of the images.
    weights : SHA-256 of the file of initial weights, if there is one.
    """
    settings = {key: value for key, value in recipe.to_dict().items() if key not in ("name", "about")}
    return {**settings, "images": fingerprint, "initial weights": weights}


def checkpoint_beside(output: Path, identity: Mapping[str, Any]) -> Checkpoint:
    """The checkpoint folder for a future model folder: its name plus ``.training``."""
    return Checkpoint(output.with_name(output.name + ".training"), identity)
