"""Every verb reports its work batch by batch, and no two parts of it under the same name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import facevalue as fv
from facevalue.models.classifier import Classifier
from facevalue.support import progress
from facevalue.support.time_left import Left


@dataclass
class Task:
    what: str
    total: int | None
    unit: str
    done: int = 0
    known: int = 0
    """Of ``done``, what was known before, which needs no work."""
    steps: int = 0
    details: list[str] = field(default_factory=list)


class Tasks(progress.Silent):
    """Remembers every task."""

    def __init__(self) -> None:
        self.tasks: list[Task] = []

    def start(self, what: str, total: int | None, unit: str) -> int:
        self.tasks.append(Task(what, total, unit))
        return len(self.tasks) - 1

    def advance(self, key: int, by: int, detail: str, left: Left | None) -> None:
        task = self.tasks[key]
        task.done, task.steps = task.done + by, task.steps + bool(by)
        task.details.append(detail)

    def skip(self, key: int, by: int) -> None:
        self.tasks[key].done += by
        self.tasks[key].known += by


Do = Callable[[Classifier, Path, Path], object]
SMALL: dict[str, object] = {"network.options": {"widths": [4, 8]}, "fit.batch_size": 16}

VERBS: dict[str, Do] = {
    "train scratch": lambda model, lfw, out: fv.train(
        lfw, out, recipe="scratch", size=24, epochs=2, settings={**SMALL, "refit": True}
    ),
    "train probe": lambda model, lfw, out: fv.train(
        lfw, out, network="small-cnn", weights="none", size=32, settings={"refit": True, "network.options": {}}
    ),
    "train finetune": lambda model, lfw, out: fv.train(
        lfw, out, recipe="finetune", network="small-resnet", weights="none", size=24, epochs=2, settings=SMALL
    ),
    "tune": lambda model, lfw, out: fv.tune(lfw, out, trials=2, size=24, epochs=2, settings=SMALL),
    "evaluate": lambda model, lfw, out: fv.evaluate(model, lfw),
    "attack": lambda model, lfw, out: fv.attack(
        model, lfw, attacks=["fgsm", "bim"], eps=[4 / 255], limit=40, defense="bits"
    ),
    "calibrate": lambda model, lfw, out: fv.calibrate(model, lfw, out),
    "finetune": lambda model, lfw, out: fv.finetune(model, darker(lfw, out.parent), out, stages=1, epochs=1),
    "ensemble": lambda model, lfw, out: fv.ensemble([model, shaken(model)], out),
    "export": lambda model, lfw, out: fv.export(model, out.with_suffix(".onnx")),
    "explain": lambda model, lfw, out: fv.explain(model, lfw / "face", out),
    "scan": lambda model, lfw, out: fv.scan_data(lfw),
    "prepare": lambda model, lfw, out: fv.prepare_data(lfw, out, size=32),
}


def darker(lfw: Path, to: Path) -> Path:
    from PIL import Image

    for path in sorted(lfw.rglob("*.png"))[::3]:
        place = to / "darker" / path.parent.name / path.name
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.open(path).point(lambda value: value // 2).rotate(90).save(place)
    return to / "darker"


def shaken(model: Classifier) -> Classifier:
    import torch

    other = model.changed(model.card.changed(evidence=()))
    with torch.no_grad():
        other.body.head.weight.mul_(1.01)
    return other


@pytest.mark.parametrize("verb", VERBS)
def test_parts_of_the_work_have_names_of_their_own_and_end_at_their_total(
    verb: str, made: Classifier, lfw: Path, tmp_path: Path
) -> None:
    seen = Tasks()
    with progress.using(seen):
        VERBS[verb](made, lfw, tmp_path / "out")
    assert seen.tasks
    several = {what: n for what, n in Counter(task.what for task in seen.tasks).items() if n > 1}
    assert not several
    for task in seen.tasks:
        assert task.total is not None, task.what
        dropped = task.total // 17 if "training" in task.what else 0  # a last batch of one image is left out
        assert task.total - dropped <= task.done <= task.total, task
        new = task.total - task.known
        assert task.steps >= min(new, max(1, new // 64)), task  # batch by batch


def test_training_tells_the_epoch_the_loss_and_the_accuracy(lfw: Path) -> None:
    seen = Tasks()
    with progress.using(seen):
        fv.train(lfw, recipe="scratch", size=24, epochs=2, settings={**SMALL, "fit.patience": 2})
    (training,) = [task for task in seen.tasks if task.what == "training"]
    n = training.total
    assert n is not None
    assert training.unit == "images"
    batches = [detail for detail in training.details if "loss" in detail]
    assert batches[0].startswith("epoch 1 of at most 2, loss 0.")
    assert batches[-2].startswith("epoch 2 of at most 2, accuracy 0.")
    assert training.details[-1].startswith("epoch 2: loss ")
