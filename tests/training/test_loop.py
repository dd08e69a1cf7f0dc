"""The training loop: it learns, resumes bit for bit, and trains only the stages of the settings."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from facevalue.data.dataset import ImageDataset, dataset_of
from facevalue.data.groups import with_groups
from facevalue.data.scan import scan
from facevalue.data.splits import with_splits
from facevalue.errors import FaceValueError, UsageError
from facevalue.models.classifier import Classifier
from facevalue.support import progress
from facevalue.training.checkpoint import Checkpoint
from facevalue.training.early_stopping import best_epoch, kept_epoch, stopped
from facevalue.training.freezing import unfreeze
from facevalue.training.loop import train_body
from facevalue.training.methods import new_classifier
from facevalue.training.optimizer import class_weights, make_optimizer
from facevalue.training.plan import RefitPlan, ValidationPlan, validate
from facevalue.training.recipe import Recipe, read
from facevalue.training.settings import FitSettings, OptimizerSettings

from .stopping import StopAfter

TINY = {
    "network.size": 24,
    "network.options": {"widths": [8, 16]},
    "fit.epochs": 4,
    "fit.patience": 0,
    "augment.shift": 0.1,
}


@pytest.fixture(scope="module")
def splits(lfw: Path) -> dict[str, ImageDataset]:
    manifest = with_splits(with_groups(scan(lfw)))
    preprocessing = recipe().preprocessing()
    return {s: dataset_of(manifest, preprocessing, manifest.classes, s).held() for s in ("train", "validation")}


def recipe(**changes: Any) -> Recipe:
    return read("scratch", TINY | changes)


def run(splits: dict[str, ImageDataset], folder: Path, chosen: Recipe) -> tuple[Classifier, list[dict[str, Any]]]:
    classifier = new_classifier(chosen, ("face", "not-face"))
    plan = ValidationPlan(chosen, splits["validation"])
    return train_body(classifier, splits["train"], plan, chosen, Checkpoint(folder, {"run": "same"}))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"optimizer.name": "rmsprop", "augment.mixup": 0.2, "schedule.name": "plateau"},
        {"optimizer.name": "sgd", "fit.keep": "last", "augment.cutmix": 1.0, "augment.jpeg": 50},
    ],
)
def test_a_run_that_was_stopped_and_went_on_ends_with_the_same_weights(
    splits: dict[str, ImageDataset], tmp_path: Path, changes: dict[str, Any]
) -> None:
    whole, lines = run(splits, tmp_path / "whole", recipe(**changes))
    with progress.using(StopAfter(2)), pytest.raises(KeyboardInterrupt):
        run(splits, tmp_path / "parts", recipe(**changes))
    resumed, resumed_lines = run(splits, tmp_path / "parts", recipe(**changes))
    assert [line["epoch"] for line in resumed_lines] == [0, 1, 2, 3]
    for (name, a), (_, b) in zip(whole.state_dict().items(), resumed.state_dict().items(), strict=True):
        assert torch.equal(a, b), name
    assert [line["train_loss"] for line in lines] == [line["train_loss"] for line in resumed_lines]


@pytest.mark.slow
def test_a_compiled_network_learns_the_same(
    splits: dict[str, ImageDataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The network is captured and run as a graph; the C++ code of the usual backend takes minutes to compile."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    changes = {"fit.epochs": 2, "optimizer.name": "sgd"}
    plain, lines = run(splits, tmp_path / "plain", recipe(**changes))
    fast, fast_lines = run(splits, tmp_path / "fast", recipe(**changes, **{"fit.compile": True}))
    for (name, a), (other, b) in zip(plain.state_dict().items(), fast.state_dict().items(), strict=True):
        assert name == other
        torch.testing.assert_close(a, b, atol=1e-3, rtol=1e-2)
    assert fast_lines[-1]["train_loss"] == pytest.approx(lines[-1]["train_loss"], rel=1e-2)


def test_a_device_that_is_not_there_is_said(splits: dict[str, ImageDataset], tmp_path: Path) -> None:
    if torch.cuda.is_available():
        return
    with pytest.raises(UsageError, match="`device` is cuda, but PyTorch finds no such GPU"):
        run(splits, tmp_path / "a", recipe(**{"fit.device": "cuda"}))


def test_it_learns_and_another_seed_gives_other_weights(splits: dict[str, ImageDataset], tmp_path: Path) -> None:
    chosen = recipe(**{"fit.epochs": 8, "augment.shift": 0.0})
    first, lines = run(splits, tmp_path / "a", chosen)
    assert lines[-1]["train_accuracy"] > 0.85
    assert lines[-1]["train_loss"] < lines[0]["train_loss"]
    other, _ = run(splits, tmp_path / "b", recipe(seed=1, **{"fit.epochs": 8, "augment.shift": 0.0}))
    assert not torch.equal(first.body.head.weight, other.body.head.weight)


def test_the_best_weights_are_restored(splits: dict[str, ImageDataset], tmp_path: Path) -> None:
    classifier, lines = run(splits, tmp_path / "a", recipe(**{"optimizer.lr": 0.03, "fit.epochs": 6}))
    best = min(lines, key=lambda line: line["validation_loss"])
    again = validate(classifier.body, splits["validation"].batches(32), classifier.mean, classifier.std)
    assert again["validation_loss"] == pytest.approx(best["validation_loss"], rel=1e-4)


@pytest.mark.parametrize("keep", ["best", "last"])
def test_repeating_a_run_on_the_same_images_gives_the_weights_that_the_first_kept(
    splits: dict[str, ImageDataset], tmp_path: Path, keep: str
) -> None:
    changes = {"optimizer.lr": 0.05, "fit.epochs": 7, "schedule.name": "plateau", "schedule.factor": 0.9}
    chosen = recipe(**changes, **{"fit.keep": keep})
    first, lines = run(splits, tmp_path / "first", chosen)
    assert min(lines, key=lambda line: line["validation_loss"])["epoch"] < len(lines) - 1  # else there is no choice
    start = new_classifier(chosen, ("face", "not-face"))
    place = Checkpoint(tmp_path / "first", {"run": "same"}).inside("again")
    again, second = train_body(start, splits["train"], RefitPlan(lines, chosen.fit), chosen, place)
    assert [line["lr"] for line in second] == pytest.approx([line["lr"] for line in lines[: len(second)]])
    assert "validation_loss" not in second[-1]
    for name, weights in again.body.state_dict().items():
        torch.testing.assert_close(weights, first.body.state_dict()[name], atol=1e-4, rtol=1e-3)
    Checkpoint(tmp_path / "first", {"run": "same"}).clear()
    assert not (tmp_path / "first").exists()


def test_the_last_weights_are_kept_on_request(splits: dict[str, ImageDataset], tmp_path: Path) -> None:
    classifier, _ = run(splits, tmp_path / "a", recipe(**{"optimizer.lr": 0.03, "fit.epochs": 7, "fit.keep": "last"}))
    state = Checkpoint(tmp_path / "a", {"run": "same"}).load()
    assert state is not None
    for name, weights in classifier.body.state_dict().items():
        assert torch.equal(weights, state.weights[name]), name


def test_a_checkpoint_of_another_training_is_refused(splits: dict[str, ImageDataset], tmp_path: Path) -> None:
    run(splits, tmp_path / "a", recipe(**{"fit.epochs": 1}))
    with pytest.raises(UsageError, match=r"other settings or images: run \(same then, other now\)"):
        Checkpoint(tmp_path / "a", {"run": "other"}).load()
    (tmp_path / "a" / "state.safetensors").write_bytes(b"half")
    with pytest.raises(UsageError, match="cannot be read; give `fresh`"):
        Checkpoint(tmp_path / "a", {"run": "same"}).load()


def test_a_nan_loss_stops_with_advice(splits: dict[str, ImageDataset], tmp_path: Path) -> None:
    with pytest.raises(FaceValueError, match="try a lower `lr`"):
        run(
            splits,
            tmp_path / "a",
            recipe(**{"optimizer.name": "sgd", "optimizer.lr": 1e30, "schedule.warmup_epochs": 0}),
        )


def test_only_the_last_stages_and_the_head_train(splits: dict[str, ImageDataset], tmp_path: Path) -> None:
    chosen = recipe(**{"fit.stages": 1, "fit.epochs": 2})
    before = new_classifier(chosen, ("face", "not-face"))
    after, _ = run(splits, tmp_path / "a", chosen)
    first, last = before.body.stages()[0], before.body.stages()[-1]
    for old, new in zip(first.state_dict().values(), after.body.stages()[0].state_dict().values(), strict=True):
        assert torch.equal(old, new)  # batch norm's statistics too
    changed = zip(last.parameters(), after.body.stages()[-1].parameters(), strict=True)
    assert any(not torch.equal(old, new) for old, new in changed)
    assert all(p.requires_grad for p in after.parameters())


def test_frozen_batch_norm_keeps_its_statistics(splits: dict[str, ImageDataset], tmp_path: Path) -> None:
    chosen = recipe(**{"fit.freeze_batchnorm": True, "fit.epochs": 1})
    after, _ = run(splits, tmp_path / "a", chosen)
    statistics = [b for name, b in after.body.named_buffers() if name.endswith("running_mean")]
    assert statistics
    assert all(not b.any() for b in statistics)


def test_images_too_many_for_memory_give_the_same_weights(splits: dict[str, ImageDataset], tmp_path: Path) -> None:
    kept, _ = run(splits, tmp_path / "a", recipe(**{"fit.epochs": 1}))
    streamed = {name: replace(s, _held=None) for name, s in splits.items()}
    again, _ = run(streamed, tmp_path / "b", recipe(**{"fit.epochs": 1}))
    assert torch.equal(kept.body.head.weight, again.body.head.weight)


@pytest.mark.parametrize("name", ["rmsprop", "adam", "adamw", "sgd"])
def test_weight_decay_excludes_biases_and_norms_and_the_head_has_its_own_rate(name: str) -> None:
    chosen = recipe()
    body = new_classifier(chosen, ("a", "b")).body
    settings = OptimizerSettings(name=name, lr=0.1, weight_decay=0.01)  # type: ignore[arg-type]
    fit = FitSettings(head_lr_factor=10.0)
    unfreeze(body, fit)
    groups = make_optimizer(body, settings, fit).param_groups
    for group in groups:
        assert {p.ndim > 1 for p in group["params"]} == {group["weight_decay"] > 0}
    head = next(g for g in groups if any(p is body.head.weight for p in g["params"]))
    assert head["lr"] == pytest.approx(1.0)
    assert sum(len(g["params"]) for g in groups) == len(list(body.parameters()))


def test_balanced_class_weights_give_classes_equal_weight() -> None:
    labels = np.array([0] * 90 + [1] * 10)
    weights = class_weights(labels, 2, FitSettings(class_weights="balanced")).numpy()
    assert weights[0] * 90 == pytest.approx(weights[1] * 10)
    assert (weights * np.bincount(labels)).sum() == pytest.approx(100)


def test_early_stopping_waits_for_patience_epochs() -> None:
    lines = [
        {"epoch": i, "validation_loss": v, "validation_accuracy": a}
        for i, (v, a) in enumerate([(1, 0.5), (0.5, 0.9), (0.6, 0.9), (0.7, 0.95)])
    ]
    assert best_epoch(lines, FitSettings()) == 1
    assert best_epoch(lines, FitSettings(monitor="accuracy")) == 3
    assert kept_epoch(lines, FitSettings()) == 1
    assert kept_epoch(lines, FitSettings(keep="last")) == 3
    robust = [line | {"validation_robust_accuracy": r} for line, r in zip(lines, (0.1, 0.2, 0.5, 0.0), strict=True)]
    assert kept_epoch(robust, FitSettings(keep="last")) == 2
    assert stopped(lines, FitSettings(patience=2))
    assert not stopped(lines, FitSettings(patience=3))
    assert not stopped(lines, FitSettings(patience=0))
