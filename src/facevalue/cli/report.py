"""``facevalue report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from facevalue.cli.common.output import Json, deliver, file_option

EXAMPLE = "facevalue report model -o model-card.html"


def run(
    model: Annotated[Path, Argument(metavar="MODEL", help="A model folder.")],
    output: Annotated[
        Path | None, file_option("--output", "-o", text="The page to write; by default report.html in the folder.")
    ] = None,
    examples: Annotated[
        int,
        Option(min=0, metavar="N", help="Show N test images of each kind: wrong, right, no answer; needs -o."),
    ] = 0,
    json: Json = None,
) -> None:
    """Write the model card as one self-contained HTML page."""
    from facevalue.api.report import report

    page = report(model, output, examples=examples)
    deliver({"path": page}, json, str(page))
