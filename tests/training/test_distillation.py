"""Distillation: its loss in closed form, classes by name, and what each form does to the logits."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn import functional

import facevalue as fv
from facevalue.data.dataset import dataset_of
from facevalue.data.scan import scan
from facevalue.errors import DataError, ModelFolderError, UsageError
from facevalue.evidence.card import ModelCard
from facevalue.models.classifier import load
from facevalue.models.features import to_tensor
from facevalue.training.distillation import Teacher, open_teacher, resolved
from facevalue.training.methods import new_classifier
from facevalue.training.recipe import read
from facevalue.training.settings import DistillSettings

SMALL = {"network.options": {"widths": [8, 16]}, "fit.patience": 0, "optimizer.lr": 5e-3}
SMALLER = {"network.options": {"widths": [4, 8]}}


@pytest.fixture(scope="module")
def teacher(lfw: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("teacher") / "model"
    fv.train(lfw, folder, recipe="scratch", size=24, epochs=6, settings=SMALL)
    return folder


def settings(**changes: object) -> DistillSettings:
    return DistillSettings(**{"form": "knowledge", "temperature": 4.0, **changes})  # type: ignore[arg-type]


def a_teacher(chosen: DistillSettings) -> Teacher:
    classifier = new_classifier(read("scratch", {"network.size": 24, **SMALLER}), ("a", "b"))
    return Teacher(classifier, torch.tensor([0, 1]), chosen)


def test_knowledge_is_the_divergence_at_the_temperature_times_its_square() -> None:
    torch.manual_seed(0)
    student, taught = torch.randn(6, 2, requires_grad=True), 3 * torch.randn(6, 2)
    loss = a_teacher(settings()).loss(student, taught, torch.tensor(0.0))
    p = (taught / 4).softmax(1)
    entropy = -(p * p.log()).sum(1).mean()
    divergence = functional.kl_div((student / 4).log_softmax(1), p, reduction="batchmean")
    assert float(loss.detach()) == pytest.approx(16 * float((divergence + entropy).detach()), rel=1e-5)
    (gradient,) = torch.autograd.grad(loss, student)
    expected = 4 * ((student / 4).softmax(1) - p) / 6
    assert torch.allclose(gradient, expected.detach(), atol=1e-6)


def test_the_best_student_has_the_teachers_logits_or_those_times_the_temperature() -> None:
    taught = torch.tensor([[2.0, -1.0], [0.5, 0.0]])
    for form, scale in (("knowledge", 1.0), ("defensive", 4.0)):
        student = (scale * taught).requires_grad_()
        loss = a_teacher(settings(form=form)).loss(student, taught, torch.tensor(0.0))
        (gradient,) = torch.autograd.grad(loss, student)
        assert gradient.abs().max() < 1e-6, form


def test_the_loss_weighs_teacher_and_labels() -> None:
    z = torch.tensor([[1.0, 0.0]])
    half, whole = (a_teacher(settings(weight=w)).loss(z, z, torch.tensor(5.0)) for w in (0.5, 1.0))
    assert float(half) == pytest.approx(0.5 * float(whole) + 2.5)


def test_classes_are_matched_by_name_and_network_inputs_by_size(teacher: Path, lfw: Path) -> None:
    chosen = settings(teacher=str(teacher))
    turned = open_teacher(chosen, ("not-face", "face"))
    straight = open_teacher(chosen, ("face", "not-face"))
    assert turned is not None
    assert straight is not None
    classifier = load(teacher)
    x = to_tensor(dataset_of(scan(lfw), classifier.card.preprocessing, classifier.card.classes).take([0, 150]).pixels())
    assert torch.equal(turned.logits(x), straight.logits(x).flip(1))
    with torch.no_grad():
        assert torch.allclose(straight.logits(x).softmax(1), classifier.probabilities(x), atol=1e-6)
    larger = functional.interpolate(x, (48, 48), mode="nearest")
    assert torch.equal(straight.logits(larger).argmax(1), straight.logits(x).argmax(1))
    with pytest.raises(DataError, match="has face, not-face; the images have cat, dog"):
        open_teacher(chosen, ("cat", "dog"))
    assert open_teacher(DistillSettings(), ("a", "b")) is None


def test_the_kind_of_distillation_follows_from_the_networks(teacher: Path) -> None:
    for network, form in (
        ({"network.name": "small-resnet", **SMALL}, "defensive"),
        (
            {"network.name": "small-resnet", "network.options": {"widths": (8, 16), "blocks": 1}},
            "defensive",
        ),
        ({"network.name": "small-resnet", **SMALLER}, "knowledge"),
        ({"network.name": "small-cnn"}, "knowledge"),
    ):
        table = resolved(read("scratch", {**network, "distill.teacher": str(teacher)})).distill
        assert (table.form, table.temperature) == (form, 20.0)
        assert table.teacher_sha256 == ModelCard.load(teacher).files["weights.safetensors"]
    plain = read("scratch")
    assert resolved(plain) == plain


def test_both_forms_learn_and_only_the_defensive_one_saturates(teacher: Path, lfw: Path, tmp_path: Path) -> None:
    margins = {}
    for form in ("defensive", "knowledge"):
        more = SMALL | {"distill.form": form, "optimizer.lr": 0.02}
        folder = tmp_path / form
        made = fv.train(lfw, folder, recipe="scratch", size=24, epochs=30, teacher=str(teacher), settings=more)
        test = made.card.evaluation("test")
        assert test is not None
        assert test.accuracy > 0.7
        student = load(folder)
        x = to_tensor(dataset_of(scan(lfw), student.card.preprocessing, student.card.classes).some(40).pixels())
        with torch.no_grad():
            margins[form] = float(student.logits(x).diff(dim=1).abs().median())
    assert margins["defensive"] > 4 * margins["knowledge"]


def test_a_probe_cannot_be_distilled_and_a_teacher_must_be_a_model(lfw: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected method to be finetune or scratch with distill"):
        fv.train(lfw, tmp_path / "m", recipe="probe", teacher="somewhere")
    with pytest.raises(UsageError, match="finetune or scratch with adversarial"):
        fv.train(lfw, tmp_path / "m", recipe="probe", adversarial="pgd")
    with pytest.raises(ModelFolderError, match="is not a model folder"):
        fv.train(lfw, tmp_path / "m", recipe="scratch", teacher=str(tmp_path / "none"))
