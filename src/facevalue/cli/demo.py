"""``facevalue demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Option

from facevalue.cli.evaluate import evaluation_table
from facevalue.cli.output import Json, deliver

EXAMPLE = "facevalue demo -o facevalue-demo"


def run(
    output: Annotated[Path, Option("--output", "-o", metavar="DIR", help="Where everything goes.")] = Path(
        "facevalue-demo"
    ),
    json: Json = None,
) -> None:
    """Go the whole way in under a minute on 200 real pictures, offline: train, judge, attack, explain, export."""
    from facevalue import workshop

    result = workshop.demo(output)
    test = result.card.report("test")
    pictures = output / "pictures"
    deliver(
        result.figures(),
        json,
        *([evaluation_table([test])] if test else []),
        f"the report:    {result.folder / 'report.html'}",
        f"try next:      facevalue predict {result.folder} {pictures / 'face'}",
        f"the web page:  facevalue serve {result.folder}   and open http://127.0.0.1:8000",
    )
