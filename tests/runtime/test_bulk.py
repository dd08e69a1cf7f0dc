from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from facevalue.errors import MissingExtraError
from facevalue.runtime.bulk import ROWS, write_csv, write_parquet
from facevalue.types import Prediction

CLASSES = ("cat", "dog, wet")
PREDICTIONS = [
    Prediction("cat", {"cat": 0.75, "dog, wet": 0.25}, leaning="cat", path='a "b", c.png', novelty=0.5),
    Prediction(None, {"cat": 0.5, "dog, wet": 0.5}, leaning="cat", reasons=("novel", "uncertain"), path="ü.png"),
    Prediction(None, {}, path="bad\udcff.jpg", error="is truncated"),
]


def test_csv(tmp_path: Path) -> None:
    assert write_csv(PREDICTIONS, tmp_path / "t.csv", CLASSES) == 3
    assert (tmp_path / "t.csv").read_bytes().startswith(b"\xef\xbb\xbf")  # else Excel reads other letters
    with (tmp_path / "t.csv").open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["path"] for row in rows] == ['a "b", c.png', "ü.png", "bad\\udcff.jpg"]
    assert [row["label"] for row in rows] == ["cat", "", ""]
    words = "novel (unlike the training images); uncertain (the probability is below the limit)"
    assert [row["reasons"] for row in rows] == ["", words, ""]
    assert [row["probability"] for row in rows] == ["0.7500", "0.5000", ""]
    assert [row["novelty"] for row in rows] == ["0.5000", "", ""]
    assert [row["abstained"] for row in rows] == ["False", "True", "False"]
    assert [row["p_dog, wet"] for row in rows] == ["0.2500", "0.5000", ""]
    assert rows[2]["error"] == "is truncated"


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "\uff1d"])
def test_no_cell_is_a_formula(start: str, tmp_path: Path) -> None:
    """Neither of a file name, nor of a class, nor of an error; also where a spreadsheet splits at semicolons."""
    text = f"{start}HYPERLINK(1)"
    made = Prediction(text, {text: 1 / 3, "a;=1+1": 2 / 3}, leaning=text, path=text, error=text)
    write_csv([made], tmp_path / "t.csv", (text, "a;=1+1"))
    with (tmp_path / "t.csv").open(encoding="utf-8-sig", newline="") as stream:
        header, row = list(csv.reader(stream))
    cells = dict(zip(header, row, strict=True))
    assert [cells[name] for name in ("path", "label", "leaning", "error")] == ["'" + text] * 4
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d")) for cell in (*header, *row))
    assert '"p_a;=1+1"' in (tmp_path / "t.csv").read_text(encoding="utf-8-sig")
    assert cells[f"p_{text}"] == "0.3333"


def test_parquet_has_types(tmp_path: Path) -> None:
    n = 2 * ROWS + 3
    assert write_parquet((PREDICTIONS[i % 3] for i in range(n)), tmp_path / "t.parquet", CLASSES) == n
    table = pd.read_parquet(tmp_path / "t.parquet")
    assert len(table) == n
    assert table["abstained"].dtype == bool
    assert table["p_cat"].dtype == table["probability"].dtype == float
    assert table["error"].isna().tolist()[:3] == [True, True, False]
    assert table["path"].iloc[-1] == PREDICTIONS[(n - 1) % 3].path


@pytest.mark.parametrize("write", [write_csv, write_parquet])
def test_nothing_half_written(write, tmp_path: Path) -> None:
    def stops() -> Iterator[Prediction]:
        yield PREDICTIONS[0]
        raise KeyboardInterrupt

    (tmp_path / "t").write_text("old")
    with pytest.raises(KeyboardInterrupt):
        write(stops(), tmp_path / "t", CLASSES)
    assert (tmp_path / "t").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("write", [write_csv, write_parquet])
def test_no_predictions_is_a_table_without_rows(write, tmp_path: Path) -> None:
    assert write([], tmp_path / "t", CLASSES) == 0
    read = pd.read_csv if write is write_csv else pd.read_parquet
    assert list(read(tmp_path / "t").columns)[-2:] == ["p_cat", "p_dog, wet"]


def test_parquet_without_pyarrow_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"facevalue\[train\]"):
        write_parquet(PREDICTIONS, tmp_path / "t.parquet", CLASSES)
