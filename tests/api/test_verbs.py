"""The other verbs on a trained model."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pandas as pd
import pytest

import facevalue as fv
from facevalue.errors import DataError, UsageError
from facevalue.evidence.card import ModelCard
from facevalue.evidence.provenance import asked_by
from facevalue.evidence.records import AttackReport, Evaluation
from facevalue.models.classifier import Classifier


@pytest.fixture
def model(made: Classifier, tmp_path: Path) -> Path:
    """A copy that a test may add evidence to."""
    return Path(shutil.copytree(made.folder, tmp_path / "model"))


def test_evaluating_what_it_was_made_from_takes_the_test_images(model: Path, lfw: Path) -> None:
    report = fv.evaluate(model, lfw)
    known = ModelCard.load(model).evaluation("test")
    assert known is not None
    assert report.confusion == known.confusion
    assert report.n == known.n
    assert "images-seen-in-training" not in {w.code for w in report.warnings}


def test_asking_for_all_of_it_says_that_it_was_trained_on(model: Path, lfw: Path) -> None:
    report = fv.evaluate(model, lfw, split="all", save=False)
    assert report.n == 200
    assert any(w.text.endswith("of 200 images were used to make the model") for w in report.warnings)
    assert fv.evaluate(model, lfw, split="train", save=False).n == sum(
        ModelCard.load(model).data.counts["train"].values()
    )


def test_evidence_is_kept_once_and_the_report_drawn_anew(model: Path, lfw: Path, tmp_path: Path) -> None:
    data = tmp_path / "new"
    shutil.copytree(lfw / "face", data / "face")
    before = len(ModelCard.load(model).evidence)
    for _ in range(2):
        with asked_by("facevalue evaluate model new"):
            fv.evaluate(model, data)
    card = ModelCard.load(model)
    assert len(card.evidence) == before + 1
    last = card.evidence[-1]
    assert isinstance(last, Evaluation)
    assert (last.split, last.provenance.command) == ("new", "facevalue evaluate model new")
    assert last.auroc is None  # one class only: no curve
    assert "facevalue evaluate model new" in (model / "report.html").read_text()


def test_classes_are_matched_by_name_and_others_name_both_lists(model: Path, lfw: Path, tmp_path: Path) -> None:
    data = tmp_path / "other"
    shutil.copytree(lfw / "face", data / "zebra")
    shutil.copytree(lfw / "not-face", data / "face")
    with pytest.raises(DataError, match=r"the model knows face, not-face; .* has face, zebra"):
        fv.evaluate(model, data)
    (data / "zebra").rename(data / "not-face")  # the labels are exchanged, so the figures must differ
    swapped = fv.evaluate(model, data, split="all", save=False)
    right = fv.evaluate(model, lfw, split="all", save=False)
    assert swapped.accuracy == pytest.approx(1 - right.accuracy)


def test_compare_gives_the_published_columns_and_draws(model: Path, made: Classifier, tmp_path: Path) -> None:
    rows = fv.compare([model, made.folder], plot=tmp_path / "curves.png").to_dict()["models"]
    assert [row["model"] for row in rows] == [str(model), str(made.folder)]
    row = rows[0]
    assert row["gap"] == pytest.approx(row["train_accuracy"] - row["test_accuracy"])
    assert {"validation_accuracy", "parameters", "seconds_per_epoch", "ece"} <= set(row)
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(UsageError, match="at least one"):
        fv.compare([])


def test_attack_goes_on_the_card_and_draws(model: Path, lfw: Path, tmp_path: Path) -> None:
    report = fv.attack(
        model, lfw, attacks=["fgsm"], eps=[2 / 255, 8 / 255], plot=tmp_path / "p.png", sheet=tmp_path / "s.png"
    )
    weak, strong = report.results
    assert strong.robust_accuracy <= weak.robust_accuracy <= weak.clean_accuracy
    assert sum(map(sum, strong.confusion)) == strong.n == report.n
    assert any(isinstance(e, AttackReport) for e in ModelCard.load(model).evidence)
    assert (tmp_path / "p.png").stat().st_size > 5_000
    assert (tmp_path / "s.png").stat().st_size > 1_000


def test_export_measures_parity_and_names_targets(model: Path, lfw: Path, tmp_path: Path) -> None:
    report = fv.export(model, tmp_path / "out.onnx", to="onnx", images=lfw)
    assert (report.label_agreement, report.target) == (1.0, "onnx")
    assert (tmp_path / "out.onnx").stat().st_size == report.bytes
    with pytest.raises(UsageError, match="there is no export target 'fax'; there are: onnx"):
        fv.export(model, tmp_path / "x", to="fax")


def test_calibrating_on_other_images_makes_a_new_folder(model: Path, lfw: Path, tmp_path: Path) -> None:
    with (tmp_path / "some.csv").open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["path", "label"])
        rows.writerows([str(f), label] for label in ("face", "not-face") for f in sorted((lfw / label).iterdir())[:40])
    recipe = ModelCard.load(model).recipe
    own = {**recipe, "calibration": {**recipe["calibration"], "target": 0.9}}
    model = Path(shutil.copytree(model, tmp_path / "own targets"))
    ModelCard.load(model).changed(recipe=own).save(model)
    old = ModelCard.load(model)
    card = fv.calibrate(model, tmp_path / "some.csv", tmp_path / "calibrated").card
    own_images = pd.read_parquet(model / "manifest.parquet").set_index("path")["split"]
    some = pd.read_csv(tmp_path / "some.csv")["path"]
    n_test = int((own_images[some] == "test").sum())
    assert n_test > 0
    assert (card.abstention.n, card.abstention.target) == (80 - n_test, 0.9)
    [told] = [warning for warning in card.data.warnings if warning.code == "test-images-left-out"]
    assert told.values == {"n": n_test}
    assert card.temperature != old.temperature
    assert ModelCard.load(model) == old
    assert not [e for e in card.evidence if isinstance(e, Evaluation)]  # figures of the old temperature do not hold
    assert [v.error for v in fv.predict(tmp_path / "calibrated", [lfw / "face"])] == [None] * 100


def test_explain_check_and_report(model: Path, lfw: Path, tmp_path: Path) -> None:
    explained = fv.explain(model, [lfw / "face" / "face-000.png"], tmp_path / "heat")
    assert [Path(f).is_file() for f in explained.files] == [True]
    policy = tmp_path / "policy.toml"
    policy.write_text("[require]\naccuracy_lower = 0.999\n")
    checked = fv.check(model, policy)
    assert checked.passed is False
    assert checked.failed
    policy.write_text("[require]\naccuracy = 0.5\n")
    assert fv.check(model, policy).passed is True
    page = fv.report(model, tmp_path / "page.html")
    assert "not-face" in page.read_text()


def test_predict_gives_a_row_for_every_file(model: Path, lfw: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_text("no image")
    rows = list(fv.predict(model, [lfw / "face" / "face-000.png", tmp_path / "bad.jpg"]))
    assert [row.error is None for row in rows] == [True, False]
    assert sum(rows[0].probabilities.values()) == pytest.approx(1, abs=1e-5)


def test_a_folder_called_test_is_not_the_models_test_split(model: Path, lfw: Path, tmp_path: Path) -> None:
    own = ModelCard.load(model).evaluation("test")
    for label in ("face", "not-face"):
        (tmp_path / "other" / "test" / label).mkdir(parents=True)
        for file in sorted((lfw / label).iterdir())[:5]:
            shutil.copy(file, tmp_path / "other" / "test" / label)
    assert fv.evaluate(model, tmp_path / "other" / "test").split == "other/test"
    assert ModelCard.load(model).evaluation("test") == own


def test_an_attack_on_some_images_says_so(model: Path, lfw: Path) -> None:
    few = fv.attack(model, lfw, eps=[1 / 255], limit=4)
    whole = fv.attack(model, lfw, eps=[1 / 255])
    assert (few.n, whole.n) == (4, 42)
    assert few.provenance.fingerprint != whole.provenance.fingerprint
    assert [e.n for e in ModelCard.load(model).of_kind(AttackReport)] == [4, 42]
