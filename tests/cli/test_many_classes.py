"""Two hundred classes: the output fits a screen, the worst ten are shown and the rest is counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rich.table import Table

import facevalue as fv
from facevalue.cli.common.counts import counts_table
from facevalue.cli.common.output import deliver
from facevalue.cli.data.scan import _tables_and_lines
from facevalue.cli.evaluate import all_classes_line, confusion_table, left_out_lines, slice_table
from facevalue.data.audit import audit
from facevalue.data.dataset import ImageDataset
from facevalue.data.groups import with_groups
from facevalue.data.scan import scan
from facevalue.evaluation.figures import figures
from facevalue.evaluation.slices import study
from facevalue.evaluation.worst_classes import worst_classes
from facevalue.evidence.card import DataFacts, ModelCard, NetworkFacts
from facevalue.evidence.provenance import Provenance
from facevalue.evidence.records import Evaluation
from facevalue.images.preprocessing import Preprocessing
from facevalue.reports import plots
from facevalue.reports.model_page import render

K = 200
CLASSES = tuple(f"class {i:03d}" for i in range(K))


@pytest.fixture(scope="module")
def card() -> ModelCard:
    return ModelCard(classes=CLASSES, preprocessing=Preprocessing(size=32), network=NetworkFacts(name="small-cnn"))


@pytest.fixture(scope="module")
def report(card: ModelCard) -> Evaluation:
    rng = np.random.default_rng(0)
    y = rng.integers(0, K - 1, 1200)  # no image of the last class
    logits = rng.normal(size=(len(y), K))
    logits[np.arange(len(y)), y] += rng.normal(3, 1, len(y))
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    found = figures(card, y, p, np.zeros(len(y)))
    return found.changed(provenance=Provenance(n=len(y), split="test"))


def shown(capsys: pytest.CaptureFixture[str], *parts: Table | str) -> list[str]:
    deliver({}, None, *parts)
    return capsys.readouterr().out.splitlines()


def test_a_confusion_matrix_becomes_the_ten_worst(report: Evaluation, capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys, confusion_table(CLASSES, report.confusion), *all_classes_line(CLASSES))
    assert len(lines) == 13
    assert lines[0].rstrip() == "the 10 worst of 200 classes"
    assert all(len(line) <= 100 for line in lines)
    worst = min(report.recall.values())
    assert lines[2].startswith("class ")
    assert f"{100 * worst:.1f} %" in lines[2]
    assert lines[-1] == "the whole confusion matrix is in --json FILE"
    few = shown(capsys, confusion_table(("a", "b"), [[3, 1], [0, 4]]), *all_classes_line(("a", "b")))
    assert [line.split() for line in few] == [["true", "/", "predicted", "a", "b"], ["a", "3", "1"], ["b", "0", "4"]]


def test_the_worst_classes_by_recall_then_by_images() -> None:
    table = [[9, 1, 0, 0], [2, 0, 2, 6], [0, 0, 0, 3], [0, 0, 0, 0]]
    first, second, third = worst_classes("abcd", table)
    assert (first.label, first.n, first.recall, first.taken_for, first.times) == ("b", 10, 0.0, "d", 6)
    assert (second.label, second.n, second.taken_for) == ("c", 3, "d")
    assert (third.label, third.recall, third.taken_for) == ("a", 0.9, "b")
    assert [c.label for c in worst_classes("abcd", table, most=1)] == ["b"]


def test_warnings_about_many_classes_are_one(report: Evaluation) -> None:
    codes = [warning.code for warning in report.warnings]
    assert len(codes) == len(set(codes))
    (few,) = [w for w in report.warnings if w.code == "few-images-of-class"]
    assert few.text.startswith("199 classes have fewer than 30 images, the fewest 'class ")
    assert "and 196 more" in few.text
    assert len(few.values["labels"]) == 199  # type: ignore[arg-type]
    assert [w.text for w in report.warnings if w.code == "no-image-of-class"] == ["no image of 'class 199'"]


def test_one_image_of_each_class_is_no_regression(card: ModelCard) -> None:
    """scikit-learn would warn, and warnings are errors here."""
    p = np.full((K, K), 1 / K)
    assert figures(card, np.arange(K), p, np.zeros(K)).accuracy == 1 / K


def test_slices_of_many_classes_and_many_slices_of_few_images(
    report: Evaluation, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    y, decided = rng.integers(0, K, 400), rng.integers(0, K, 400)
    found = study("person", np.array([f"p{i % 40}" for i in range(400)], object), y, decided, CLASSES)
    (small,) = [w for w in found.warnings if w.code == "small-slice"]
    assert small.text.startswith("person: 40 values have fewer than 30 images, too few to compare: 'p")
    lines = shown(capsys, slice_table(found))
    assert len(lines) == 41
    assert all(len(line) < 80 for line in lines)


def test_counts_and_left_out_files_fit(capsys: pytest.CaptureFixture[str]) -> None:
    counts = {split: {label: 3 + i % 7 for i, label in enumerate(CLASSES)} for split in ("train", "test")}
    lines = shown(capsys, counts_table(counts))
    assert len(lines) == 3
    assert lines[1].split() == ["train", "1194", "200", "class", "000", "(3)", "class", "006", "(9)"]
    assert len(shown(capsys, counts_table(counts, {"train": 5, "test": 4}))) == 3
    assert len(shown(capsys, counts_table({"all": {"a": 1, "b": 2}}))) == 3
    bad = [{"path": f"{i}.png", "reason": "is empty"} for i in range(300)]
    assert left_out_lines(bad)[-1] == "left out: 290 more files; --json FILE lists all"
    assert len(left_out_lines(bad)) == 11
    assert len(left_out_lines(bad[:3])) == 3


def test_a_scan_fits(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (8 + i % 2, 8, 3), np.uint8) for i in range(2 * K)]
    data = ImageDataset.from_arrays(images, [CLASSES[i // 2] for i in range(2 * K)])
    lines = shown(capsys, *_tables_and_lines(audit(with_groups(scan(data), "image", 0), 0)))
    assert len(lines) < 40


def test_the_page_and_the_notebook_fit(card: ModelCard, report: Evaluation) -> None:
    counts = {"test": dict.fromkeys(CLASSES, 6)}
    page = render(card.with_evidence(report).changed(data=DataFacts(counts=counts)))
    assert len(page) < 200_000
    assert "the worst 10 of 200 classes" in page
    assert page.count('<th scope="row">class ') == 10
    assert "class 009</b> and 190 more" in page
    assert len(report._repr_html_()) < 20_000
    assert "… and 188 more" in report._repr_html_()


def test_a_large_confusion_plot_has_a_size_to_look_at() -> None:
    figure = plots.confusion(np.eye(K, dtype=int).tolist(), CLASSES)
    assert max(figure.get_size_inches()) < 20
    assert len(figure.axes[0].get_xticklabels()) == 20
    assert list(figure.axes[0].texts) == []


def test_a_prediction_of_many_classes_fits_a_notebook() -> None:
    assert len(fv.Prediction(None, dict.fromkeys(CLASSES, 1 / K))._repr_html_()) < 2_000
