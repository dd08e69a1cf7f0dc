"""Families of sources: generators of one make, or cameras of one maker."""

from __future__ import annotations

from typing import Literal

import pandas as pd

from facevalue.data.sources import sources_of

By = Literal["source", "family"]
"""What is left out at a time."""


def families_of(rows: pd.DataFrame) -> list[str]:
    """(n,) the family of each image, "" where it is not known; empty if no image has one.

    The column ``family`` of the manifest; without it, the part of the source's name before the first ``-``:
    ``stylegan2-omi`` and ``stylegan2-ffhq`` are one family.
    """
    if "family" in rows.columns:
        found = [str(value) for value in rows["family"].astype(object).where(rows["family"].notna(), "")]
        return found if any(found) else []
    return [source.partition("-")[0] for source in sources_of(rows)]


def left_out_by(rows: pd.DataFrame, by: By) -> list[str]:
    """The source or the family of each image."""
    return sources_of(rows) if by == "source" else families_of(rows)
