"""A model folder made before format 2 opens, predicts, is evaluated and shown; its card is converted when it is read.

``tests/fixtures/card-format-1`` was made by the code before, on 32 small images: ``model`` is whole, of ``finetuned``
(from a refitted model) and ``together`` (an ensemble) the card alone; the JSON files are what it answered and measured.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

import facevalue as fv
from facevalue.data.training_data import HARD_IMAGES_ONLY, calibrated_on_hard_images_only
from facevalue.errors import ModelFolderError
from facevalue.evidence.card import CARD, FORMAT, ModelCard
from facevalue.evidence.card_format_1 import converted
from facevalue.evidence.records import (
    AttackReport,
    CertificateReport,
    CorruptionReport,
    Evaluation,
    ExportReport,
    FinetuneReport,
)
from facevalue.training.recipe import Recipe, read


@pytest.fixture(scope="session")
def before(root: Path) -> Path:
    return root / "tests" / "fixtures" / "card-format-1"


@pytest.fixture
def model(before: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(before / "model", tmp_path / "model"))


def plain(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / CARD).read_text(encoding="utf-8"))
    return found


def test_an_old_model_opens_without_torch_and_predicts_the_same(before: Path, model: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(before)
    known = json.loads((before / "predictions.json").read_text())
    predictions = list(fv.open(model).predict(["pictures"]))
    assert [p.label for p in predictions] == [k["label"] for k in known]
    for prediction, expected in zip(predictions, known, strict=True):
        assert prediction.probabilities == pytest.approx(expected["probabilities"], abs=1e-6)
    classifier = fv.load(model)
    assert classifier.card.format == FORMAT


def test_it_is_evaluated_shown_and_compared(before: Path, model: Path) -> None:
    known = json.loads((before / "evaluation.json").read_text())
    report = fv.evaluate(model, before / "pictures")
    assert report.split == "test"  # the same images: the manifest is read as well
    figures = report.to_dict()
    assert [list(row) for row in figures["confusion"]] == known["confusion"]
    for key in ("n", "accuracy", "ece", "brier", "nll", "abstained"):
        assert figures[key] == pytest.approx(known[key], abs=1e-5), key
    kept = plain(model)
    assert kept["format"] == FORMAT
    assert "geometry" not in kept
    page = fv.report(model, model / "page.html").read_text(encoding="utf-8")
    assert "Everyday corruptions" in page
    assert 'alt="bright"' in page  # the image in its folder pictures/
    assert "27 of 32 pictures took part in making the model" in page  # the text of the old card
    assert "#unclassified" in page
    (row,) = fv.compare([model]).to_dict()["models"]
    old = ModelCard.load(before / "model").evaluation("test")
    assert old is not None
    assert row["test_accuracy"] == old.accuracy == report.accuracy
    assert row["robust_accuracy"]["8/255"] is not None
    assert row["corruption_accuracy"] is not None


def test_nothing_on_the_card_is_lost(before: Path) -> None:
    old, card = plain(before / "model"), ModelCard.load(before / "model")
    provenance = card.provenance
    assert (provenance.command, provenance.created) == (old["command"], old["created"])
    assert (provenance.seed, provenance.seconds, provenance.versions) == (old["seed"], old["seconds"], old["versions"])
    assert (provenance.source, provenance.fingerprint) == (old["data"]["source"], old["data"]["fingerprint"])
    assert provenance.n == 32
    assert msgspec.to_builtins(card.preprocessing) == {**old["geometry"], "face_margin": None}
    assert card.data.groups == "image"
    assert card.recipe["split"]["groups"] == "image"
    assert card.recipe["augment"]["corruption"] == old["recipe"]["augment"]["damage"] == 0.3
    assert card.recipe["augment"]["background"] == old["recipe"]["augment"]["surroundings"]
    kinds = {Evaluation, AttackReport, CorruptionReport, CertificateReport, ExportReport}
    assert {type(e) for e in card.evidence} == kinds
    for was, evidence in zip(old["evidence"], card.evidence, strict=True):
        assert [w.text for w in evidence.warnings] == was.get("warnings", [])
        assert {w.code for w in evidence.warnings} <= {"unclassified"}
        assert (evidence.n, evidence.split) == (was["n"], was.get("split", ""))
        told = evidence.provenance.to_dict()
        for key in ("fingerprint", "source", "command", "created", "seconds", "seed"):
            if key in was:
                assert told[key] == was[key], key
        left = was.keys() - told.keys() - {"kind", "warnings", "slices"}
        now = json.loads(json.dumps(evidence.to_dict()))
        assert {key: now[key] for key in left} == {key: was[key] for key in left}
    slices = next(e for e in card.of_kind(Evaluation) if e.slices).slices
    assert {w.code for study in slices for w in study.warnings} == {"unclassified"}


def test_its_recipe_is_one_that_this_version_reads(before: Path) -> None:
    card = ModelCard.load(before / "model")
    own = {key: value for key, value in card.recipe.items() if value is not None}
    assert isinstance(read("scratch", own), Recipe)


def test_what_a_fine_tuned_model_inherits_is_kept(before: Path) -> None:
    old, card = plain(before / "finetuned"), ModelCard.load(before / "finetuned")
    assert calibrated_on_hard_images_only(card)
    [told] = card.of_kind(FinetuneReport)
    assert [w.code for w in told.warnings][-1] == HARD_IMAGES_ONLY.code
    assert [c.images for c in told.changes] == ["old test", "hard test"]
    assert told.provenance.source == old["evidence"][-2]["hard"]
    assert told.n == sum(c.n for c in told.changes)


def test_an_ensemble_opens(before: Path) -> None:
    card = ModelCard.load(before / "together")
    assert len(card.recipe["members"]) == 2
    assert card.data.warnings[0].code == "unclassified"


def test_saved_it_is_of_format_2_and_the_same(before: Path, tmp_path: Path) -> None:
    for name in ("model", "finetuned", "together"):
        card = ModelCard.load(before / name)
        card.save(tmp_path)
        assert plain(tmp_path)["format"] == FORMAT
        assert ModelCard.load(tmp_path) == card


def test_converting_leaves_the_old_values_alone(before: Path) -> None:
    old = plain(before / "finetuned")
    converted(old)
    assert old == plain(before / "finetuned")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"geometry": {"size": 3}}, "size"),
        ({"evidence": [{"kind": "rumour"}]}, "rumour"),
        ({"evidence": 3, "surprise": 1}, "surprise"),
        ({"recipe": 3, "data": 4, "temperature": "warm"}, "temperature"),
        ({"format": 3}, "it has format 3, not 1 or 2; update facevalue"),
        ({"format": "new"}, "it has format 'new', not 1 or 2"),
    ],
)
def test_an_old_card_that_is_wrong_is_one_line(model: Path, change: dict[str, object], message: str) -> None:
    (model / CARD).write_text(json.dumps(plain(model) | change))
    with pytest.raises(ModelFolderError, match=message) as caught:
        ModelCard.load(model)
    assert "\n" not in str(caught.value)
