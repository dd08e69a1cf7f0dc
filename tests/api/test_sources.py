"""Controls of sources and sources left out, through the verbs, on drawn images."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

import facevalue as fv
from facevalue.cli import app
from facevalue.errors import DataError, UsageError
from facevalue.evidence.card import ModelCard
from facevalue.evidence.records import LeftOutReport, SourceReport
from facevalue.models.classifier import Classifier
from facevalue.training.left_out_report import CONDITIONS

SETTINGS = {"network.options": {"widths": [8, 16]}, "calibration.damage": []}
COLOURS = {"ai": (210, 60, 60), "real": (60, 60, 210)}


def draw(root: Path, of_source: bool) -> Path:
    """Two sources in each class. The class is a colour, or every source has its own."""
    own = {"ai/a": (220, 40, 40), "ai/b-1": (40, 220, 40), "real/c": (40, 40, 220), "real/d": (220, 220, 40)}
    for i, (folder, colour) in enumerate(own.items()):
        rng = np.random.default_rng(i)
        (root / folder).mkdir(parents=True)
        wanted = np.array(colour if of_source else COLOURS[folder.partition("/")[0]])
        for j in range(24):
            noise = rng.integers(0, 256, (6, 6, 3))
            pixels = (0.5 * noise + 0.5 * wanted).astype(np.uint8)
            Image.fromarray(pixels).resize((48, 48), Image.Resampling.NEAREST).save(root / folder / f"{j}.png")
    return root


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw(tmp_path_factory.mktemp("sources") / "by-class", of_source=False)


@pytest.fixture(scope="module")
def by_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw(tmp_path_factory.mktemp("sources") / "by-source", of_source=True)


@pytest.fixture(scope="module")
def folder(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A probe of a small network with random weights."""
    made = tmp_path_factory.mktemp("sources") / "model"
    fv.train(images, made, network="small-resnet", weights="none", size=24, groups="image", settings=SETTINGS)
    return made


def test_scan_reports_the_controls_and_gates(images: Path, by_source: Path, tmp_path: Path) -> None:
    fine = fv.scan_data(images)
    assert fine.sources is not None
    assert [s.n for s in fine.sources.sources] == [24] * 4
    assert not any(w.code == "sources-explain-accuracy" for w in fine.warnings)
    page = tmp_path / "page.html"
    done = CliRunner().invoke(app, ["data", "scan", str(by_source), "--strict", "--page", str(page)])
    assert done.exit_code == 1
    assert "controls of sources, n = 96" in done.stdout
    text = page.read_text(encoding="utf-8")
    assert 'id="sources"' in text
    assert "sources-explain-accuracy" in text
    plain = fv.scan_data(by_source).to_dict()
    assert plain["sources"]["permuted"]["explained"] > 0.5
    json.dumps(plain)


def test_images_without_sources_have_no_controls_and_too_few_are_said(images: Path, tmp_path: Path) -> None:
    paths = sorted(images.rglob("*.png"))
    table = pd.DataFrame({"path": map(str, paths), "label": [p.parts[-3] for p in paths]})
    few = fv.scan_data(table.assign(source=[f"{p.parts[-2]}{i // 5}" for i, p in enumerate(paths)]))
    assert few.sources is None
    [note] = [n for n in few.notes if n.code == "sources-cannot-be-told"]
    assert "at least 10 images" in note.text
    for i, path in enumerate(paths):
        (tmp_path / path.parts[-3]).mkdir(exist_ok=True)
        Image.open(path).save(tmp_path / path.parts[-3] / f"{i}.png")
    none = fv.scan_data(tmp_path)
    assert none.sources is None
    assert not any("source" in n.code for n in none.notes)


def test_training_keeps_the_controls_on_the_card_and_the_page(folder: Path) -> None:
    card = ModelCard.load(folder)
    [report] = card.of_kind(SourceReport)
    assert report.features == "features of small-resnet"
    assert report.classes == card.classes
    test = sum(card.data.counts["test"].values())
    assert report.n == 96 - test
    assert report.pairs_auroc is not None
    assert report.pairs_auroc > 0.9
    assert 'id="sources"' in (folder / "report.html").read_text(encoding="utf-8")


def test_strict_training_stops_at_sources_that_explain_it(by_source: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="with `strict`"):
        fv.train(
            by_source,
            tmp_path / "model",
            network="small-resnet",
            weights="none",
            size=24,
            groups="image",
            strict=True,
            settings=SETTINGS,
        )
    assert list(tmp_path.iterdir()) == []


def test_every_source_is_left_out_once_in_every_condition(folder: Path, images: Path) -> None:
    report = fv.evaluate_left_out(folder, images, seeds=2, limit=None)
    cells = {(one.label, one.source) for one in report.results}
    assert cells == {("ai", "a"), ("ai", "b-1"), ("real", "c"), ("real", "d")}
    counts = ModelCard.load(folder).data.counts
    for one in report.results:
        # All its images are tested, also those that the model has learned from, against test images of the other class.
        assert one.n == 24
        assert one.others == counts["test"]["real" if one.label == "ai" else "ai"]
        assert 12 <= one.learned < 24
        assert (one.accused is None) == (one.label == report.positive)
    assert {one.condition for one in report.results} == set(CONDITIONS)
    assert len(report.seeds) == 2
    assert not any(w.code == "images-seen-in-training" for w in report.warnings)
    assert ModelCard.load(folder).of_kind(LeftOutReport) == [report]
    assert "Each source left out" in (folder / "report.html").read_text(encoding="utf-8")


def test_leaving_out_on_the_command_line(folder: Path, images: Path, tmp_path: Path) -> None:
    asked = ["evaluate", str(folder), str(images), "--leave-out", "family", "--no-save"]
    done = CliRunner().invoke(app, [*asked, "--json", str(tmp_path / "figures.json")])
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "figures.json").read_text())["left_out"]
    # b-1 is of the family b.
    assert {row["source"] for row in found["results"]} == {"a", "b", "c", "d"}
    clean = [row for row in found["results"] if row["condition"] == "clean"]
    assert all(row["auroc"] > 0.9 for row in clean)
    assert "each family left out, 1 seed" in done.stdout


def test_no_probe_is_told_before_anything_is_evaluated(made: Classifier, lfw: Path, tmp_path: Path) -> None:
    made.save(tmp_path / "model")
    card = (tmp_path / "model" / "card.json").read_bytes()
    done = CliRunner().invoke(app, ["evaluate", str(tmp_path / "model"), str(lfw), "--leave-out", "source"])
    assert done.exit_code == 2
    assert (tmp_path / "model" / "card.json").read_bytes() == card


def test_what_is_no_probe_or_has_no_sources_is_refused(made: Classifier, folder: Path, lfw: Path, images: Path) -> None:
    with pytest.raises(UsageError, match="only a probe is its head alone"):
        fv.evaluate_left_out(made, lfw)
    flat = pd.DataFrame({"path": [str(p) for p in images.rglob("*.png")], "label": "ai"})
    with pytest.raises(UsageError, match="`leave_out` source: no image has one"):
        fv.evaluate_left_out(folder, flat.assign(source=""), split="all", save=False)
    with pytest.raises(UsageError, match="source or family"):
        fv.evaluate_left_out(folder, images, by="camera")  # type: ignore[arg-type]
