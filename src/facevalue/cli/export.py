"""``facevalue export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from facevalue.cli.output import Json, deliver, percent
from facevalue.cli.shell import command_line

EXAMPLE = "facevalue export model --to onnx -o model.onnx"


def run(
    model: Annotated[Path, Argument(metavar="MODEL", help="A model folder.")],
    output: Annotated[Path, Option("--output", "-o", metavar="PATH", help="The file to write.")],
    to: Annotated[str, Option(metavar="TARGET", help="onnx.")] = "onnx",
    pictures: Annotated[
        Path | None, Option(metavar="DIR", help="Measure the parity on these; by default on the model's test pictures.")
    ] = None,
    json: Json = None,
) -> None:
    """Write the model in another format; a file that does not answer as the model does is not left behind."""
    from facevalue import workshop

    made = workshop.export(model, output, to=to, pictures=pictures, command=command_line())
    deliver(
        made.as_dict(),
        json,
        f"{made.path}: {made.bytes:,} bytes; from file to label on {made.n} pictures: {percent(made.label_agreement)}"
        f" the same, probabilities differ by at most {made.max_probability_difference:.1e}",
    )
