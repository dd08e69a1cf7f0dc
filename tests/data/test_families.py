"""Families of sources."""

from __future__ import annotations

import pandas as pd

from facevalue.data.families import families_of, left_out_by


def test_a_column_counts_and_else_the_name_before_the_first_dash() -> None:
    rows = pd.DataFrame({"key": ["ai/x/a.png"] * 4, "label": "ai"})
    rows["source"] = ["stylegan2-omi", "stylegan2-ffhq-u", "lfw", None]
    assert families_of(rows) == ["stylegan2", "stylegan2", "lfw", ""]
    assert left_out_by(rows, "source") == ["stylegan2-omi", "stylegan2-ffhq-u", "lfw", ""]
    assert left_out_by(rows.assign(family=["gan", "gan", None, "x"]), "family") == ["gan", "gan", "", "x"]
    assert families_of(rows.assign(family="")) == []
    assert families_of(pd.DataFrame({"key": ["ai/a.png"], "label": ["ai"]})) == []
