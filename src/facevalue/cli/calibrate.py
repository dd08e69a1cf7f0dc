"""``facevalue calibrate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from facevalue.cli.common.options import Model
from facevalue.cli.common.output import Json, deliver, table

EXAMPLE = "facevalue calibrate model new-images -o model-for-new-images"


def run(
    model: Annotated[Path, Argument(metavar="MODEL", help="A model folder.")],
    data: Annotated[Path, Argument(metavar="DATA", help="Images with labels that the model was not trained on.")],
    output: Model,
    threshold: Annotated[
        float | None,
        Option(
            metavar="T", help="Predict the positive class from this probability on; without it, the model's threshold."
        ),
    ] = None,
    json: Json = None,
) -> None:
    """Fit the temperature and the abstention limits on other images; the weights do not change."""
    from facevalue.api.calibrate import calibrate

    card = calibrate(model, data, output, threshold=threshold).card
    figures = {
        "model": output,
        "temperature": card.temperature,
        "threshold": card.threshold,
        **card.abstention.to_dict(),
    }
    deliver(figures, json, table("", ("setting", "value"), list(figures.items())))
