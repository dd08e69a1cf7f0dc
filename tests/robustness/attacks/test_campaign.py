"""Attacks over a folder of images: the report, its published form, and the images to look at."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from facevalue.data.dataset import ImageDataset, dataset_of
from facevalue.data.scan import scan
from facevalue.errors import DataError, FaceValueError, UsageError
from facevalue.evaluation.metrics import wilson
from facevalue.evidence.card import ModelCard
from facevalue.evidence.records import AttackReport
from facevalue.models.classifier import Classifier
from facevalue.robustness.attacks.adversarial_images import saved
from facevalue.robustness.attacks.campaign import attack_dataset
from facevalue.robustness.attacks.examples import Example
from facevalue.robustness.attacks.sheet import CELL, draw_sheet
from facevalue.support import progress
from facevalue.support.time_left import Left

EPS = (2 / 255, 8 / 255)
Outcome = tuple[AttackReport, tuple[Example, ...]]


@pytest.fixture(scope="module")
def outcome(trained: Classifier, faces: ImageDataset) -> Outcome:
    return attack_dataset(trained, faces.some(60), ["fgsm", "pgd"], "linf", EPS, batch_size=25)


def test_figures(outcome: Outcome, trained: Classifier, faces: ImageDataset) -> None:
    report, _ = outcome
    assert [(r.attack, r.eps) for r in report.results] == [(a, e) for a in ("fgsm", "pgd") for e in EPS]
    assert report.n == 60
    clean = np.array(report.clean_confusion)
    pixels = torch.from_numpy(faces.some(60).pixels()).permute(0, 3, 1, 2) / 255
    with torch.no_grad():
        right = int((trained.probabilities(pixels).argmax(dim=1).numpy() == faces.some(60).labels).sum())
    assert clean.sum() == 60
    assert np.trace(clean) == right
    for row in report.results:
        table = np.array(row.confusion)
        assert row.n == 60
        assert (table.sum(axis=1) == clean.sum(axis=1)).all()
        assert row.robust_accuracy == pytest.approx(np.trace(table) / 60)
        assert row.clean_accuracy == pytest.approx(right / 60)
        assert row.robust_ci == pytest.approx(wilson(int(np.trace(table)), 60))
        assert row.robust_accuracy_unrounded <= row.clean_accuracy
        assert 0 < row.mean_distance <= row.eps + 1e-6
        assert row.queries >= 2 * right
        assert row.seconds > 0
    by_eps = {(r.attack, r.eps): r.robust_accuracy for r in report.results}
    assert by_eps["pgd", EPS[1]] < by_eps["pgd", EPS[0]] < right / 60
    assert by_eps["pgd", EPS[1]] <= by_eps["fgsm", EPS[1]]
    assert report.warnings == ()


def test_the_batch_size_changes_nothing_but_the_starts(
    outcome: Outcome, trained: Classifier, faces: ImageDataset
) -> None:
    again, _ = attack_dataset(trained, faces.some(60), ["fgsm"], "linf", EPS, batch_size=60)
    assert again.clean_confusion == outcome[0].clean_confusion
    assert [r.confusion for r in again.results] == [r.confusion for r in outcome[0].results[:2]]


def test_deterministic(trained: Classifier, faces: ImageDataset) -> None:
    def run(seed: int) -> list[tuple[object, ...]]:
        report, _ = attack_dataset(trained, faces.some(20), ["pgd"], "l2", [0.5], seed=seed)
        assert report.provenance.seed == seed
        return [(r.confusion, r.queries, r.mean_distance) for r in report.results]

    assert run(3) == run(3)
    assert run(3) != run(4)


def test_published_form(outcome: Outcome) -> None:
    plain = json.loads(json.dumps(outcome[0].to_dict()))
    assert {"results", "warnings", "n", "classes", "clean_confusion"} <= set(plain)
    assert plain["classes"] == ["face", "not-face"]
    row = plain["results"][0]
    keys = "attack norm eps n clean_accuracy robust_accuracy robust_ci confusion seconds adaptive".split()
    assert set(keys) <= set(row)
    assert row["adaptive"] is False
    # Rows are the true classes, columns the predictions, in the order of `classes`; for clean and adversarial tables.
    for table in (plain["clean_confusion"], row["confusion"]):
        assert [len(line) for line in table] == [2, 2]
        assert [sum(line) for line in table] == [30, 30]


def test_the_card_keeps_it(outcome: Outcome, trained: Classifier, tmp_path: Path) -> None:
    card = trained.card.with_evidence(outcome[0])
    card.save(tmp_path)
    assert ModelCard.load(tmp_path).evidence == (outcome[0],)


def test_l2_and_a_moved_threshold(trained: Classifier, faces: ImageDataset) -> None:
    strict = trained.changed(trained.card.changed(threshold=0.97))
    report, _ = attack_dataset(strict, faces.some(40), ["bim"], "l2", [0.0, 1.0])
    usual, _ = attack_dataset(trained, faces.some(40), ["bim"], "l2", [0.0])
    assert report.results[0].clean_accuracy < usual.results[0].clean_accuracy
    assert report.results[0].robust_accuracy == report.results[0].clean_accuracy
    assert report.results[0].mean_distance == 0
    assert report.results[1].robust_accuracy < report.results[0].robust_accuracy


def test_leaves_the_classifier_alone(trained: Classifier, faces: ImageDataset) -> None:
    classifier = trained.changed().train()
    weights = {key: value.clone() for key, value in classifier.state_dict().items()}
    attack_dataset(classifier, faces.some(10), ["pgd"], "linf", [8 / 255])
    assert all(module.training for module in classifier.modules())
    assert all(p.requires_grad and p.grad is None for p in classifier.parameters())
    assert all(torch.equal(value, weights[key]) for key, value in classifier.state_dict().items())


def test_warnings_reach_the_report(make_linear: Callable[..., Classifier], faces: ImageDataset) -> None:
    random = make_linear(torch.randn(2, 3, 25, 25, generator=torch.Generator().manual_seed(0)) * 1e5, torch.zeros(2))
    report, _ = attack_dataset(random, faces.some(30), ["fgsm"], "linf", [0.0, 1 / 255])
    assert {"low-clean-accuracy", "softmax-saturated"} <= {warning.code for warning in report.warnings}
    text = "; ".join(warning.text for warning in report.warnings)
    assert "clean accuracy is" in text
    assert "gradient of cross-entropy is zero" in text
    assert all("\n" not in w.text and any(c.isdigit() for c in w.text) for w in report.warnings)


class Heard(progress.Silent):
    def __init__(self) -> None:
        self.total: int | None = 0
        self.done = 0
        self.details: list[str] = []

    def start(self, what: str, total: int | None, unit: str) -> int:
        if what == "attacking":
            self.total = total
            return 1
        return 0

    def advance(self, key: int, by: int, detail: str, left: Left | None) -> None:
        if key:
            self.done += by
            self.details.append(detail)


def test_progress_tells_the_running_robust_accuracy(trained: Classifier, faces: ImageDataset) -> None:
    heard = Heard()
    with progress.using(heard):
        report, _ = attack_dataset(trained, faces.some(20), ["fgsm", "bim"], "linf", [8 / 255], batch_size=8)
    assert heard.done == heard.total == 40
    last = report.results[-1].robust_accuracy
    assert heard.details[-1] == f"bim linf 8/255: {100 * last:.1f} % robust"


def test_examples(outcome: Outcome) -> None:
    _, examples = outcome
    assert {e.attack for e in examples} == {"fgsm", "pgd"}
    for example in examples:
        assert example.clean_decision == example.label != example.decision
        assert 0.5 <= example.probability <= 1
        assert 0.5 <= example.clean_probability <= 1
        assert example.original.dtype == example.adversarial.dtype == example.perturbation.dtype == np.uint8
        away = example.adversarial.astype(int) - example.original
        assert 0 < np.abs(away).max() <= round(example.eps * 255)
        np.testing.assert_allclose(example.perturbation, (128 + away * example.magnified).clip(0, 255), atol=0.51)


def test_saved_images_give_the_robust_accuracy_again(trained: Classifier, faces: ImageDataset, tmp_path: Path) -> None:
    """Read back as any folder a class, by the pixels in the files."""
    chosen = faces.some(30)
    with saved(tmp_path / "out", chosen) as to:
        report, _ = attack_dataset(trained, chosen, ["fgsm", "bim"], "linf", EPS, save_to=to, batch_size=16)
    for row in report.results:
        folder = tmp_path / "out" / f"{row.attack}-linf-{round(255 * row.eps)}_255"
        again = dataset_of(scan(folder), trained.card.preprocessing, trained.card.classes)
        assert len(again) == 30
        with torch.no_grad():
            decided = trained.decide(trained.logits(torch.from_numpy(again.pixels()).permute(0, 3, 1, 2) / 255))
        assert float((decided.numpy() == again.labels).mean()) == pytest.approx(row.robust_accuracy)
    table = pd.read_csv(tmp_path / "out" / "images.csv")
    assert len(table) == table["file"].nunique() == 4 * 30
    assert all((tmp_path / "out" / name).is_file() for name in table["file"])
    last = table[(table["attack"] == "bim") & np.isclose(table["eps"], EPS[1])]
    assert float((last["decision"] == last["label"]).mean()) == pytest.approx(report.results[-1].robust_accuracy)
    with pytest.raises(UsageError, match="not an empty folder"), saved(tmp_path / "out", chosen):
        pass


def test_a_target(trained: Classifier, faces: ImageDataset) -> None:
    report, _ = attack_dataset(trained, faces.some(30), ["bim"], "linf", [8 / 255], target="face")
    (row,) = report.results
    clean, after = np.array(report.clean_confusion), np.array(row.confusion)
    assert row.target == "face"
    assert (after[0] == clean[0]).all()  # images of the target are left alone
    assert row.target_rate == pytest.approx((after[1, 0] - clean[1, 0]) / clean[1, 1])
    assert row.target_rate > 0
    with pytest.raises(UsageError, match="no class 'horse' for `target`; the classes are face, not-face"):
        attack_dataset(trained, faces.some(4), ["bim"], "linf", [8 / 255], target="horse")


def test_sheet(outcome: Outcome, tmp_path: Path) -> None:
    examples = outcome[1]
    path = draw_sheet(examples, tmp_path / "sheet.png")
    with Image.open(path) as sheet:
        assert sheet.format == "PNG"
        pixels = np.asarray(sheet.convert("RGB"))
    # Each network input stands in the sheet, enlarged pixel by pixel.
    shown = examples[0].adversarial
    enlarged = np.asarray(Image.fromarray(shown).resize((CELL, CELL), Image.Resampling.NEAREST))
    right_cell = pixels[:, -CELL - 12 : -12]
    starts = [i for i in range(len(right_cell) - CELL) if (right_cell[i : i + CELL] == enlarged).all()]
    assert len(starts) >= 1
    assert draw_sheet([], tmp_path / "none.png").is_file()


def test_long_class_names_fit(outcome: Outcome, tmp_path: Path) -> None:
    example = replace(outcome[1][0], label="a very long name of a class " * 8, decision="another long name " * 8)
    with Image.open(draw_sheet([example], tmp_path / "sheet.png")) as sheet:
        assert sheet.width == 3 * CELL + 4 * 12


@pytest.mark.parametrize(
    ("attacks", "norm", "eps", "words"),
    [
        (["fgsn"], "linf", [0.1], "no attack 'fgsn'"),
        ([], "linf", [0.1], "at least one attack"),
        (["fgsm"], "linf", [], "at least one attack and one eps"),
        (["fgsm"], "l1", [0.1], "norm to be one of"),
        (["fgsm"], "linf", [8], "write 8/255"),
    ],
)
def test_wrong_use(
    trained: Classifier, faces: ImageDataset, attacks: list[str], norm: str, eps: list[float], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        attack_dataset(trained, faces, attacks, norm, eps)


def test_wrong_images(trained: Classifier, faces: ImageDataset) -> None:
    with pytest.raises(DataError, match=r"knows face, not-face; the images are of not-face, face"):
        attack_dataset(trained, replace(faces, classes=("not-face", "face")), ["fgsm"], "linf", [0.1])
    with pytest.raises(FaceValueError, match="no image"):
        attack_dataset(trained, faces.take([]), ["fgsm"], "linf", [0.1])
