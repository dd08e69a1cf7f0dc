"""``facevalue export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from facevalue.cli.common.output import Json, deliver
from facevalue.support.formats import percent

EXAMPLE = "facevalue export model --to onnx -o model.onnx"


def run(
    model: Annotated[Path, Argument(metavar="MODEL", help="A model folder.")],
    output: Annotated[Path, Option("--output", "-o", metavar="PATH", help="The file to write.")],
    to: Annotated[str, Option(metavar="TARGET", help="onnx.")] = "onnx",
    images: Annotated[
        Path | None, Option(metavar="DIR", help="Measure the parity on these; by default on the model's test images.")
    ] = None,
    json: Json = None,
) -> None:
    """Write the model in another format; a file that does not answer as the model does is not left behind."""
    from facevalue.api.export import export

    made = export(model, output, to=to, images=images)
    deliver(
        made.to_dict(),
        json,
        f"{made.path}: {made.bytes:,} bytes; from file to label on {made.n} images: {percent(made.label_agreement)}"
        f" the same, probabilities differ by at most {made.max_probability_difference:.1e}",
    )
