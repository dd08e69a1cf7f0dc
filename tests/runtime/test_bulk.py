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
    with (tmp_path / "t.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["path"] for row in rows] == ['a "b", c.png', "ü.png", "bad\\udcff.jpg"]
    assert [row["label"] for row in rows] == ["cat", "", ""]
    assert [row["reasons"] for row in rows] == ["", "novel uncertain", ""]
    assert [row["abstained"] for row in rows] == ["False", "True", "False"]
    assert [row["p_dog, wet"] for row in rows] == ["0.25", "0.5", ""]
    assert rows[2]["error"] == "is truncated"


def test_parquet_has_types(tmp_path: Path) -> None:
    n = 2 * ROWS + 3
    assert write_parquet((PREDICTIONS[i % 3] for i in range(n)), tmp_path / "t.parquet", CLASSES) == n
    table = pd.read_parquet(tmp_path / "t.parquet")
    assert len(table) == n
    assert table["abstained"].dtype == bool
    assert table["p_cat"].dtype == float
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
