"""``facevalue calibrate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument

from facevalue.cli.output import Json, deliver, table
from facevalue.cli.shared_options import Model
from facevalue.cli.shell import command_line

EXAMPLE = "facevalue calibrate model new-pictures -o model-for-new-pictures"


def run(
    model: Annotated[Path, Argument(metavar="MODEL", help="A model folder.")],
    data: Annotated[Path, Argument(metavar="DATA", help="Pictures with labels that the model was not trained on.")],
    output: Model,
    json: Json = None,
) -> None:
    """Fit the temperature and the limits of abstention on other pictures; the weights stay as they are."""
    from facevalue import workshop

    card = workshop.calibrate(model, data, output, command=command_line())
    figures = {
        "model": output,
        "temperature": card.temperature,
        "threshold": card.threshold,
        **card.abstention.as_dict(),
    }
    deliver(figures, json, table("", ("what", "value"), list(figures.items())))
