"""Marks stand beside predictions: on the command line, in tables, in Python and over HTTP. No probability changes."""

from __future__ import annotations

import csv
import json
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import PngImagePlugin

import facevalue as fv
from facevalue.marks import MarkReader
from facevalue.marks.credentials import MISSING
from facevalue.marks.source_types import SOURCE_TYPES

from ..runtime.model_folders import write_model
from ..serve.conftest import serving
from ..serve.test_api_document import check
from .conftest import drawn


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("marks") / "model"
    write_model(folder)
    return folder


@pytest.fixture
def images(tmp_path: Path, signed: dict[str, bytes]) -> Path:
    """A signed image, one with a generator's settings, one without marks, and one that is none."""
    info = PngImagePlugin.PngInfo()
    info.add_text("parameters", "=a face\nSteps: 20, Seed: 1")
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(signed["JPEG"])
    (folder / "b.png").write_bytes(drawn("PNG", pnginfo=info))
    (folder / "c.webp").write_bytes(drawn("WEBP"))
    (folder / "d.jpg").write_bytes(signed["JPEG"][: len(signed["JPEG"]) // 2])
    return folder


def test_on_the_command_line(
    model: Path, images: Path, trust_list: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from facevalue.cli import main

    def predict(*flags: str) -> tuple[str, str]:
        with pytest.raises(SystemExit) as end:
            main(["predict", str(model), str(images), *flags])
        assert end.value.code == 0
        seen = capsys.readouterr()
        return seen.out, seen.err

    plain, notes = predict("--json", str(tmp_path / "plain.json"))
    assert all(line.count("\t") == 3 for line in plain.splitlines())
    assert "marks" not in plain + notes
    tables = ["--csv", str(tmp_path / "t.csv"), "--parquet", str(tmp_path / "t.parquet")]
    out, notes = predict("--marks", "--trust-list", str(trust_list), "--json", str(tmp_path / "marked.json"), *tables)
    lines = [line.split("\t") for line in out.splitlines()]
    assert [line[:4] for line in lines] == [line.split("\t") for line in plain.splitlines()]
    assert lines[0][4].startswith("Content Credentials: signed by Own signer (Test organisation), whom the trust list")
    assert lines[1][4] == "PNG text: settings of Stable Diffusion web UI: =a face Steps: 20, Seed: 1"
    assert lines[2][4] == "none"
    assert lines[3][4].startswith("Content Credentials: damaged")
    assert "absence says nothing" in notes
    rows, without = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("marked", "plain"))
    states = [row["marks"]["credentials"]["state"] for row in rows]
    assert states == ["trusted", "none", "none", "unreadable"]
    assert [row["marks"]["says_ai"] for row in rows] == [True, True, False, False]
    assert [{key: v for key, v in row.items() if key != "marks"} for row in rows] == without
    with (tmp_path / "t.csv").open(encoding="utf-8-sig", newline="") as stream:
        cells = list(csv.DictReader(stream))
    assert [row["credentials"] for row in cells] == states
    assert [row["signed_by"] for row in cells] == ["Own signer (Test organisation)", "", "", ""]
    assert [row["says_ai"] for row in cells] == ["True", "True", "False", "False"]
    table = pd.read_parquet(tmp_path / "t.parquet")
    assert table["says_ai"].dtype == bool
    assert list(table["marks"]) == [line[4] if line[4] != "none" else "" for line in lines]


def test_in_python(model: Path, images: Path, trust_list: Path) -> None:
    plain = fv.predict(model, images)
    assert [one.marks for one in plain] == [None] * 4
    assert "marks" not in plain[0].to_dict()
    marked = fv.predict(model, images, trust_list=trust_list)
    assert [one.marks and one.marks.credentials.state for one in marked] == ["trusted", "none", "none", "unreadable"]
    assert [one.probabilities for one in marked] == [one.probabilities for one in plain]
    classifier = fv.predict(fv.load(model), images, marks=True)
    assert next(one.marks and one.marks.credentials.state for one in classifier) == "valid"
    with MarkReader() as reader:  # pixels have no file, so there is nothing to read
        (pixels,) = fv.open(model).predict(np.zeros((32, 32, 3), np.uint8), marks=reader)
    assert pixels.marks is None


def test_without_the_library_one_line_says_so(
    monkeypatch: pytest.MonkeyPatch, model: Path, images: Path, notes: list[str]
) -> None:
    monkeypatch.setitem(sys.modules, "c2pa", None)
    fv.predict(model, images, marks=True)
    (line,) = [note for note in notes if "credentials-not-checked" in note]
    assert f"2 images have Content Credentials that were not checked: {MISSING}" in line


def test_over_http(model: Path, images: Path, trust_list: Path) -> None:
    with serving(model, trust_list=str(trust_list)) as client, MarkReader(trust_list) as reader:
        document = client.get("/openapi.json").json()
        files = [("files", (path.name, path.read_bytes())) for path in sorted(images.iterdir())]
        plain = client.post("/predict", files=files)
        marked = client.post("/predict?marks=true", files=files)
        check(document, marked, "/predict")
        rows = marked.json()["results"]
        assert [row.pop("marks") for row in rows] == [
            json.loads(json.dumps(reader.of(data).to_dict())) for _, (_, data) in files
        ]
        assert rows == plain.json()["results"]
        refused = client.post("/predict?marks=true", files=files[3:])
        assert refused.status_code == 422
        check(document, refused, "/predict")


def test_the_page_takes_the_same_types_for_made(root: Path) -> None:
    script = (root / "src/facevalue/web/static/metadata.js").read_text(encoding="utf-8")
    (listed,) = re.findall(r"const MADE = new Set\(\[(.*?)\]\)", script, re.DOTALL)
    made = {name for name, (says, _) in SOURCE_TYPES.items() if says in ("ai", "computer")}
    assert set(re.findall(r'"(\w+)"', listed)) == made
