"""A report with test images: right, wrong and without an answer."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pandas as pd
import pytest

import facevalue as fv
from facevalue.api.common.example_images import draw_examples
from facevalue.errors import UsageError
from facevalue.evidence.card import MANIFEST
from facevalue.models.classifier import Classifier
from facevalue.runtime import open_folder


@pytest.fixture
def model(made: Classifier, tmp_path: Path) -> Path:
    assert made.folder is not None
    return Path(shutil.copytree(made.folder, tmp_path / "model"))


def test_each_example_is_of_the_kind_that_its_caption_says(model: Path, tmp_path: Path) -> None:
    found = draw_examples(model, 100, tmp_path)
    rows = pd.read_parquet(model / MANIFEST)
    test = rows[rows["split"] == "test"]
    predictions = open_folder(model).predict([Path(p) for p in test["path"]])
    expected = {"right": 0, "wrong": 0, "abstained": 0}
    for label, prediction in zip(test["label"], predictions, strict=True):
        kind = "abstained" if prediction.label is None else "right" if prediction.label == label else "wrong"
        expected[kind] += 1
    drawn = {kind: len([f for f, _ in found if f.name.startswith(kind)]) for kind in expected}
    assert drawn == expected
    assert all(("no answer" in caption) == file.name.startswith("abstained") for file, caption in found)
    assert all(file.is_file() for file, _ in found)


def test_the_page_holds_at_most_so_many_of_each_kind_and_the_folder_none(model: Path, tmp_path: Path) -> None:
    before = (model / "report.html").read_bytes()
    page = fv.report(model, tmp_path / "page.html", examples=2).read_text(encoding="utf-8")
    assert 1 <= len(re.findall(r'<img src="data:image/png', page)) <= 6
    assert (model / "report.html").read_bytes() == before


def test_wrong_use(model: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="name it with `output`"):
        fv.report(model, examples=2)
    with pytest.raises(UsageError, match="at least 0"):
        fv.report(model, tmp_path / "page.html", examples=-1)
