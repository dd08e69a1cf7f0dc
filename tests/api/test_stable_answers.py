"""Stable answers through the verbs: calibrated, evaluated, predicted, exported."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import facevalue as fv
from facevalue.errors import DataError, UsageError
from facevalue.evaluation.stability import FLIPS
from facevalue.evidence.records import ExportReport
from facevalue.images.remaking import EVERYDAY
from facevalue.models.classifier import Classifier


@pytest.fixture(scope="module")
def stable(made: Classifier, lfw: Path) -> Classifier:
    return fv.calibrate(made, fv.ImageDataset.from_folder(lfw, split="calibration"), stable=3)


def test_calibration_chooses_the_limits_on_remade_images(stable: Classifier) -> None:
    chosen = stable.card.stability
    assert chosen is not None
    assert (chosen.inputs, chosen.target) == (3, FLIPS)
    assert chosen.pipelines == tuple(pipeline.name for pipeline in EVERYDAY)
    assert chosen.n == 15
    assert chosen.answers <= chosen.n * len(EVERYDAY)
    assert chosen.flips <= FLIPS * (chosen.answers + 1)
    assert stable.card.abstention.novelty == chosen.abstention.novelty
    # 15 images can hardly show that 1 % of the answers flip.
    shown = (chosen.flips + 1) / (chosen.answers + 1) <= FLIPS
    assert shown != ("few-images-for-stability" in {w.code for w in stable.card.data.warnings})


def test_evaluation_and_predictions_agree(stable: Classifier, lfw: Path) -> None:
    data = fv.ImageDataset.from_folder(lfw, split="test")
    report = fv.evaluate(stable, data)
    predictions = stable.predict(data.images)
    assert report.inputs == 3
    assert report.reasons["unstable"] == sum("unstable" in p.reasons for p in predictions)
    assert report.abstained == sum(p.abstained for p in predictions)
    right = [p.leaning == data.classes[label] for p, label in zip(predictions, data.labels, strict=True)]
    assert report.accuracy == pytest.approx(np.mean(right))
    once = fv.evaluate(stable, data, stable=0)
    assert (once.inputs, "unstable" in once.reasons) == (1, False)
    assert fv.evaluate_remade(stable, data, limit=4).inputs == 3


def test_a_number_without_limits_is_a_warning(made: Classifier, lfw: Path, notes: list[str]) -> None:
    data = fv.ImageDataset.from_folder(lfw, split="test")
    report = fv.evaluate(made, data, stable=2)
    assert [w.code for w in report.warnings if "stability" in w.code] == ["stability-not-calibrated"]
    found = fv.predict(made, data.images[0], stable=2)
    assert len(found) == 1
    assert any("[stability-not-calibrated]" in note for note in notes)
    with pytest.raises(UsageError, match="`stable`"):
        fv.predict(made, data.images[0], stable=9)
    with pytest.raises(UsageError, match="`stable` from 2 to 7"):
        fv.calibrate(made, data, stable=1)


def test_an_export_says_what_it_cannot_do(stable: Classifier, tmp_path: Path) -> None:
    folder = stable.save(tmp_path / "model")
    [export] = fv.open(folder).card.of_kind(ExportReport)
    assert export.label_agreement == 1
    assert [w.code for w in export.warnings] == ["export-scores-once"]


def test_training_sets_it_on_the_card(lfw: Path, tiny: dict[str, object]) -> None:
    model = fv.train(lfw, recipe="scratch", size=24, epochs=1, stable=2, settings=tiny)
    test, train = model.card.evaluation("test"), model.card.evaluation("train")
    assert test is not None
    assert train is not None
    assert (model.card.inputs, test.inputs, train.inputs) == (2, 2, 1)
    assert "unstable" in test.reasons


def test_strict_training_stops_at_a_warning(lfw: Path, tiny: dict[str, object], tmp_path: Path) -> None:
    assert fv.scan_data(lfw).warnings  # faces compress to larger files
    with pytest.raises(DataError, match=r"with `strict`, .* \[file-facts-tell-classes\]"):
        fv.train(lfw, tmp_path / "model", recipe="scratch", size=24, epochs=1, strict=True, settings=tiny)
    assert not (tmp_path / "model").exists()
