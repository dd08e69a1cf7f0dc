"""``facevalue demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Option

from facevalue.cli.common.output import Json, argument, deliver
from facevalue.cli.evaluate import evaluation_table

EXAMPLE = "facevalue demo -o facevalue-demo"


def run(
    output: Annotated[Path, Option("--output", "-o", metavar="DIR", help="The folder to write.")] = Path(
        "facevalue-demo"
    ),
    json: Json = None,
) -> None:
    """Train, evaluate, attack, explain and export a model on 200 real images, offline, in under a minute."""
    from facevalue.api.demo import demo
    from facevalue.evidence.summary import TrainSummary

    result = demo(output)
    test = result.card.evaluation("test")
    images, folder = output / "images", output / "model"
    deliver(
        {"model": str(folder), **TrainSummary.of(result.card).to_dict()},
        json,
        *([evaluation_table([test])] if test else []),
        f"the report:    {folder / 'report.html'}",
        f"try next:      facevalue predict {argument(folder)} {argument(images / 'face')}",
        f"the web page:  facevalue serve {folder}   and open http://127.0.0.1:8000",
    )
