"""``facevalue calibrate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Option

from facevalue.cli.common.options import Classes, Model, Stable
from facevalue.cli.common.output import Json, deliver, table
from facevalue.cli.common.parsing import classes_of

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
    classes: Classes = None,
    stable: Stable = None,
    json: Json = None,
) -> None:
    """Fit the temperature and the abstention limits on other images; the weights do not change."""
    named = classes_of(classes or ())

    from facevalue.api.calibrate import calibrate

    card = calibrate(model, data, output, threshold=threshold, classes=named, stable=stable).card
    figures: dict[str, Any] = {
        "model": output,
        "temperature": card.temperature,
        "threshold": card.threshold,
        **card.limits.to_dict(),
    }
    if card.stability is not None:
        stability = card.stability
        figures |= {"inputs": stability.inputs, "support": stability.support}
        figures |= {"flips": stability.flips, "answers": stability.answers}
    deliver(figures, json, table("", ("setting", "value"), list(figures.items())))
