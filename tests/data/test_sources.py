"""Where images are from."""

from __future__ import annotations

import pandas as pd

from facevalue.data.sources import MOST, sources_of


def table(*keys: str, **columns: list[object]) -> pd.DataFrame:
    labels = ["real" if "real" in key else "ai" for key in keys]
    return pd.DataFrame({"key": keys, "label": labels, **columns})


def test_a_column_counts_and_folders_do_where_there_is_none() -> None:
    keys = ("real/lfw/a.jpg", "real/utk/2020/b.jpg", "ai/c.jpg", "train/real/lfw/d.jpg")
    assert sources_of(table(*keys)) == ["lfw", "utk", "", "lfw"]
    assert sources_of(table(*keys, source=["x", None, "y", "x"])) == ["x", "", "y", "x"]


def test_many_folders_are_people_and_no_folders_are_no_sources() -> None:
    people = [f"real/person-{i}/a.jpg" for i in range(MOST + 1)]
    assert sources_of(table(*people)) == []
    assert sources_of(table(*people[1:]))[0] == "person-1"
    assert sources_of(table("real/a.jpg", "ai/b.jpg")) == []
    assert sources_of(pd.DataFrame({"label": ["real"]})) == []
