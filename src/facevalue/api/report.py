"""``report``: the model card as one page."""

from __future__ import annotations

from pathlib import Path

from facevalue.reports.model_page import write_report


def report(model: Path | str, output: Path | str | None = None) -> Path:
    """Write the card of a model folder as one self-contained page; returns its path.

    Parameters
    ----------
    output : path of the page; by default ``report.html`` in the folder.
    """
    return write_report(Path(model), None if output is None else Path(output))
