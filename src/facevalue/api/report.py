"""``report``: the model card as one page."""

from __future__ import annotations

from pathlib import Path

from facevalue.api.common.model_folder import updating
from facevalue.reports.model_page import write_report


def report(model: Path | str, output: Path | str | None = None) -> Path:
    """Write the card of a model folder as one self-contained page; returns its path.

    Parameters
    ----------
    output : path of the page; by default ``report.html`` in the folder.
    """
    if output is not None:
        return write_report(Path(model), Path(output))
    with updating(Path(model)):
        return write_report(Path(model))
