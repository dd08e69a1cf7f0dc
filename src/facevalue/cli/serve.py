"""``facevalue serve``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

EXAMPLE = "facevalue serve model --port 8000"


def run(
    model: Annotated[Path, Argument(metavar="MODEL", help="A model folder; it may be replaced while the server runs.")],
    host: Annotated[str, Option(metavar="NAME", help="Address to listen on; 0.0.0.0 for all.")] = "127.0.0.1",
    port: Annotated[int, Option(min=0, max=65535, metavar="N", help="Port to listen on.")] = 8000,
) -> None:
    """Answer over HTTP, and in a browser: a page where a picture is dropped and the verdict appears."""
