"""``facevalue explain``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from facevalue.cli.common.output import Json, deliver

EXAMPLE = "facevalue explain model photo.jpg -o explained --method gradcam"


def run(
    model: Annotated[Path, Argument(metavar="MODEL", help="A model folder.")],
    images: Annotated[list[Path], Argument(metavar="IMAGE...", help="Images, or folders of them.")],
    output: Annotated[Path, Option("--output", "-o", metavar="DIR", help="The folder to write.")],
    method: Annotated[str, Option(metavar="NAME", help="gradcam or feature-maps.")] = "gradcam",
    json: Json = None,
) -> None:
    """Draw which parts of an image led to the prediction, and measure how faithful the drawing is."""
    from facevalue.api.explain import explain

    explained = explain(model, images, output, method=method)
    deliver(
        explained.to_dict(),
        json,
        *map(str, explained.files),
        *(f"left out: {bad['path']} {bad['reason']}" for bad in explained.unreadable),
    )
