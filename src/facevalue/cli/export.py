"""``facevalue export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from typer import Argument, Option

from facevalue.cli.common.options import Classes
from facevalue.cli.common.output import Json, deliver
from facevalue.cli.common.parsing import classes_of
from facevalue.support.formats import percent

EXAMPLE = "facevalue export model --to litert --precision int8 -o face.tflite"


def run(
    model: Annotated[Path, Argument(metavar="MODEL", help="A model folder.")],
    output: Annotated[
        Path, Option("--output", "-o", metavar="PATH", help="The file to write; a folder for openvino, hf and web.")
    ],
    to: Annotated[str, Option(metavar="TARGET", help="onnx, openvino, litert, hf or web.")] = "onnx",
    precision: Annotated[
        Literal["fp32", "bf16", "int8"], Option(help="Numbers in the file; bf16 and int8 where the target has them.")
    ] = "fp32",
    images: Annotated[
        Path | None, Option(metavar="DIR", help="Compare on these images; by default on the model's test images.")
    ] = None,
    classes: Classes = None,
    calibration: Annotated[
        Path | None,
        Option(metavar="DIR", help="Images for the ranges of int8; by default the model's calibration split."),
    ] = None,
    save: Annotated[bool, Option(help="Write the figures to the model's card.")] = True,
    json: Json = None,
) -> None:
    """Export the model to another format and compare it with the original; a file that differs is removed."""
    from facevalue.api.export import export

    made = export(
        model,
        output,
        to=to,
        precision=precision,
        images=images,
        classes=classes_of(classes or ()),
        calibration=calibration,
        save=save,
    )
    changed = f", {made.labels_changed} labels changed" if made.labels_changed else ""
    deliver(
        made.to_dict(),
        json,
        f"{made.path}: {made.bytes:,} bytes; on {made.n} images and {made.drawn} drawn files "
        f"{percent(made.label_agreement)} of the labels agree{changed}, and probabilities differ by at most "
        f"{made.max_probability_difference:.1e}",
        *(
            [f"accuracy is {percent(made.runtime_accuracy)}; the model's is {percent(made.accuracy)}"]
            if made.precision != "fp32"
            else []
        ),
        *(warning.line for warning in made.warnings),
    )
