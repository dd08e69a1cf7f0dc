"""Outputs and models that are something else: told before the work, and nothing is lost."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import facevalue as fv
from facevalue.errors import ModelFolderError, UsageError
from facevalue.models.classifier import Classifier


@pytest.fixture
def model(made: Classifier, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made.folder, tmp_path / "model"))


def test_a_model_is_not_replaced_by_one_that_is_made_from_it(model: Path, made: Classifier, lfw: Path) -> None:
    before = (model / "card.json").read_bytes()
    (model.parent / "link").symlink_to(model)
    for output in (model, model.parent / "link"):
        with pytest.raises(UsageError, match="is what the new model is made from"):
            fv.calibrate(model, lfw, output, overwrite=True)
        with pytest.raises(UsageError, match="is what the new model is made from"):
            fv.ensemble([made, model], output, overwrite=True)
        with pytest.raises(UsageError, match="is what the new model is made from"):
            fv.train(lfw, output, recipe="scratch", size=24, teacher=model, overwrite=True)
    assert (model / "card.json").read_bytes() == before


def test_calibrate_replaces_another_model_where_allowed(model: Path, made: Classifier, lfw: Path) -> None:
    with pytest.raises(UsageError, match="give `overwrite`"):
        fv.calibrate(made, lfw, model)
    fv.calibrate(made, lfw, model, threshold=0.8, overwrite=True)
    assert fv.open(model).card.threshold == 0.8


def test_a_card_is_no_folder(model: Path) -> None:
    with pytest.raises(ModelFolderError, match=f"it is a file; give {model}$"):
        fv.open(model / "card.json")
    with pytest.raises(ModelFolderError, match=r"it is a file$"):
        fv.open(model / "model.onnx")
    with pytest.raises(ModelFolderError, match="it does not exist"):
        fv.open(model / "nothing")


def test_drawings_go_into_a_folder(model: Path, lfw: Path) -> None:
    with pytest.raises(UsageError, match=r"card\.json is a file; name a folder with `output`"):
        fv.explain(model, lfw / "face", model / "card.json")
