"""``facevalue ensemble``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from facevalue.cli.common.options import Model, Overwrite
from facevalue.cli.common.output import Json, argument, deliver
from facevalue.cli.evaluate import evaluation_table

EXAMPLE = "facevalue ensemble model-a model-b model-c -o together"


def run(
    models: Annotated[list[Path], Argument(metavar="MODEL...", help="Two or more model folders.")],
    output: Model,
    data: Annotated[
        Path | None, Option(metavar="DIR", help="Where the models' own images are now, if they have moved.")
    ] = None,
    overwrite: Overwrite = False,
    json: Json = None,
) -> None:
    """Combine several models into one that averages their calibrated probabilities, in one model.onnx."""
    from facevalue.api.ensemble import ensemble
    from facevalue.evidence.summary import TrainSummary

    combined = ensemble(models, output, data=data, overwrite=overwrite)
    summary = TrainSummary.of(combined.card)
    figures = {"model": str(output), **summary.to_dict(), "members": combined.card.recipe["members"]}
    reports = [r for r in (summary.train, summary.validation, summary.test) if r is not None]
    deliver(
        figures,
        json,
        evaluation_table(reports),
        f"{output}: the model folder; next: facevalue predict {argument(output)} IMAGE…",
    )
