"""``facevalue export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from facevalue.cli.common.options import Classes
from facevalue.cli.common.output import Json, deliver
from facevalue.cli.common.parsing import classes_of
from facevalue.support.formats import percent

EXAMPLE = "facevalue export model --to onnx -o model.onnx"


def run(
    model: Annotated[Path, Argument(metavar="MODEL", help="A model folder.")],
    output: Annotated[Path, Option("--output", "-o", metavar="PATH", help="The file to write; for web, a folder.")],
    to: Annotated[str, Option(metavar="TARGET", help="onnx, openvino, litert or web.")] = "onnx",
    images: Annotated[
        Path | None, Option(metavar="DIR", help="Compare on these images; by default on the model's test images.")
    ] = None,
    classes: Classes = None,
    json: Json = None,
) -> None:
    """Export the model to another format and compare it with the original; a file that differs is removed."""
    from facevalue.api.export import export

    made = export(model, output, to=to, images=images, classes=classes_of(classes or ()))
    deliver(
        made.to_dict(),
        json,
        f"{made.path}: {made.bytes:,} bytes; on {made.n} images {percent(made.label_agreement)} of the labels agree and"
        f" probabilities differ by at most {made.max_probability_difference:.1e}",
    )
