"""``report``: the model's card as one page."""

from __future__ import annotations

from pathlib import Path

from facevalue.reports.model_page import write_report


def report(model: Path | str, output: Path | str | None = None) -> Path:
    """The model's card as one self-contained page; returns where it is."""
    return write_report(Path(model), None if output is None else Path(output))
