"""Outputs of frozen stages are computed once where they are the same in every epoch, and the training is the same."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from facevalue.data.dataset import ImageDataset
from facevalue.images.preprocessing import Preprocessing
from facevalue.models.classifier import Classifier
from facevalue.models.networks import build
from facevalue.models.networks.base import Body
from facevalue.support import progress
from facevalue.training import frozen_stages
from facevalue.training.checkpoint import Checkpoint
from facevalue.training.freezing import unfreeze
from facevalue.training.frozen_stages import Cut, NotKept, Running, what_changes
from facevalue.training.loop import train_body
from facevalue.training.methods import new_classifier
from facevalue.training.plan import ValidationPlan
from facevalue.training.recipe import Recipe, read
from facevalue.training.settings import FitSettings

from .stopping import StopAfter

CNN = {
    "network.name": "small-cnn",
    "network.size": 24,
    "network.options": {"widths": [8, 12], "dense": 16, "dropout": 0.3},
    "fit.epochs": 3,
    "fit.batch_size": 16,
    "fit.stages": 1,
}
RESNET = {
    "network.name": "small-resnet",
    "network.size": 24,
    "network.options": {"widths": [8, 12, 16]},
    "fit.epochs": 3,
    "fit.batch_size": 16,
    "fit.stages": 2,
}


@pytest.fixture(scope="module")
def splits() -> dict[str, ImageDataset]:
    rng = np.random.default_rng(0)
    labels = np.arange(70) % 2
    # The second class is brighter below.
    images = rng.integers(0, 160, (70, 24, 24, 3), dtype=np.uint8)
    images[labels == 1, 12:] += 60
    whole = ImageDataset.from_arrays(list(images), labels, classes=("a", "b"))
    whole = whole.with_preprocessing(Preprocessing(size=24))
    return {"train": whole.take(np.arange(50)).held(), "validation": whole.take(np.arange(50, 70)).held()}


def recipe(plain: Mapping[str, Any], **changes: Any) -> Recipe:
    return read("scratch", {**plain, "fit.patience": 0, "augment": {}, **changes})


def run(splits: dict[str, ImageDataset], folder: Path, chosen: Recipe) -> tuple[Classifier, list[dict[str, Any]]]:
    classifier = new_classifier(chosen, ("a", "b"))
    plan = ValidationPlan(chosen, splits["validation"])
    return train_body(classifier, splits["train"], plan, chosen, Checkpoint(folder, {"run": "same"}))


@pytest.mark.parametrize("plain", [CNN, RESNET], ids=["cnn", "resnet"])
def test_the_training_is_the_same_as_without(
    splits: dict[str, ImageDataset],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    notes: list[str],
    plain: Mapping[str, Any],
) -> None:
    chosen = recipe(plain)
    first, lines = run(splits, tmp_path / "kept", chosen)
    assert sum("are computed once for" in note for note in notes) == 2
    monkeypatch.setattr(frozen_stages, "KEPT_BYTES", 0)
    second, again = run(splits, tmp_path / "not", chosen)
    assert "more than the 0 MB that are left" in notes[-1]
    for one, other in zip(lines, again, strict=True):
        for key in ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy"):
            assert one[key] == pytest.approx(other[key], rel=1e-6), key
    for (name, a), (_, b) in zip(first.state_dict().items(), second.state_dict().items(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5, msg=name)
    start = new_classifier(chosen, ("a", "b")).state_dict()
    assert any(not torch.equal(start[name], value) for name, value in first.state_dict().items())


def test_frozen_stages_are_computed_once_and_left_as_they_were(
    splits: dict[str, ImageDataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed: list[int] = []
    forward = nn.Conv2d.forward

    def counted(module: nn.Conv2d, x: Tensor) -> Tensor:
        if module.in_channels == 3:  # the first layer
            computed.append(len(x))
        return forward(module, x)

    monkeypatch.setattr(nn.Conv2d, "forward", counted)
    trained, _ = run(splits, tmp_path, recipe(CNN))
    assert sum(computed) == 50 + 20 + 3 * 2  # and two images, on which it is tried
    computed.clear()
    assert all("forward" not in vars(module) for module in trained.modules())
    trained.body(torch.rand(4, 3, 24, 24))
    assert computed == [4]


def test_a_stopped_training_goes_on_to_the_same_weights(splits: dict[str, ImageDataset], tmp_path: Path) -> None:
    whole, _ = run(splits, tmp_path / "whole", recipe(RESNET))
    with progress.using(StopAfter(2)), pytest.raises(KeyboardInterrupt):
        run(splits, tmp_path / "parts", recipe(RESNET))
    resumed, _ = run(splits, tmp_path / "parts", recipe(RESNET))
    for (name, a), (_, b) in zip(whole.state_dict().items(), resumed.state_dict().items(), strict=True):
        assert torch.equal(a, b), name


def test_with_augmentation_only_validation_is_kept(
    splits: dict[str, ImageDataset], tmp_path: Path, notes: list[str]
) -> None:
    run(splits, tmp_path, recipe(CNN, **{"augment.flip": True}))
    assert [note.partition(":")[0] for note in notes] == [
        "frozen stages are computed in every epoch for train",
        "frozen stages are computed once for validation",
    ]
    assert "augmentation changes the images (flip)" in notes[0]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, None),
        ({"augment.corruption": 0.3, "augment.fill": "plain"}, None),
        ({"augment.noise": 0.1}, "augmentation changes the images (noise)"),
        ({"augment.mixup": 0.2}, "augmentation changes the images (mixup)"),
        ({"augment.jpeg": 50}, "augmentation changes the images (jpeg)"),
        ({"adversarial.method": "fast"}, "attacks change the images"),
    ],
)
def test_what_makes_the_input_differ_is_named(changes: dict[str, Any], reason: str | None) -> None:
    assert what_changes(recipe(CNN, **changes)) == reason


@pytest.mark.parametrize(
    ("name", "stages"), [("mobilenetv2_100", 2), ("resnet18", 1), ("mobilenetv2_100", 4), ("vit_tiny_patch16_224", 2)]
)
def test_networks_of_timm_are_cut_without_a_difference(name: str, stages: int) -> None:
    size = 224 if name.startswith("vit") else 64
    body = build(name, 2, size).eval()
    images = torch.rand(3, 3, size, size, generator=torch.Generator().manual_seed(0))
    cut = Cut(running(body, stages), images)
    with torch.no_grad():
        assert torch.equal(cut.rest(cut.outputs(images[1:])), body(images[1:]))


def running(body: Body, stages: int) -> Running:
    unfrozen = unfreeze(body, FitSettings(stages=stages))
    return Running(body, unfrozen, body, lambda pixels: torch.from_numpy(pixels))


class _Odd(Body):
    """Stages a and b; ``order`` says how they are used."""

    pooled = True

    def __init__(self, order: str) -> None:
        super().__init__()
        self.order = order
        self.a, self.b, self.head = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1), nn.Linear(3, 2)

    def maps(self, x: Tensor) -> Tensor:
        found: Tensor
        if self.order == "skips":
            found = self.b(first := self.a(x)) + first
        elif self.order == "backwards":
            found = self.a(self.b(x))
        else:
            found = self.b(self.b(self.a(x)))
        return found

    def embed(self, maps: Tensor) -> Tensor:
        return maps.mean((2, 3))

    def stages(self) -> list[nn.Module]:
        return [self.a, self.b]

    @property
    def cam_layer(self) -> nn.Module:
        return self.b


@pytest.mark.parametrize("order", ["skips", "backwards", "twice"])
def test_a_network_that_is_no_chain_of_stages_is_not_cut(order: str) -> None:
    images = torch.rand(2, 3, 8, 8)
    body = _Odd(order)
    with pytest.raises(NotKept):
        Cut(running(body, 1), images)
    assert body.training
    assert all("forward" not in vars(module) for module in body.modules())
