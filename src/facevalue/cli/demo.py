"""``facevalue demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Option

from facevalue.cli.common.output import Json, deliver
from facevalue.cli.evaluate import evaluation_table

EXAMPLE = "facevalue demo -o facevalue-demo"


def run(
    output: Annotated[Path, Option("--output", "-o", metavar="DIR", help="Where everything goes.")] = Path(
        "facevalue-demo"
    ),
    json: Json = None,
) -> None:
    """Go the whole way in under a minute on 200 real images, offline: train, judge, attack, explain, export."""
    from facevalue.api.demo import demo

    result = demo(output)
    test = result.card.report("test")
    images = output / "images"
    deliver(
        result.figures(),
        json,
        *([evaluation_table([test])] if test else []),
        f"the report:    {result.folder / 'report.html'}",
        f"try next:      facevalue predict {result.folder} {images / 'face'}",
        f"the web page:  facevalue serve {result.folder}   and open http://127.0.0.1:8000",
    )
