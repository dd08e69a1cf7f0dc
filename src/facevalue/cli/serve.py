"""``facevalue serve``: uses only the runtime, without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

EXAMPLE = "facevalue serve model --port 8000"


def run(
    model: Annotated[Path, Argument(metavar="MODEL", help="A model folder; it may be replaced while the server runs.")],
    host: Annotated[str, Option(metavar="NAME", help="Address to listen on; 0.0.0.0 for all.")] = "127.0.0.1",
    port: Annotated[int, Option(min=0, max=65535, metavar="N", help="Port to listen on; 0 takes a free one.")] = 8000,
    max_files: Annotated[int, Option(min=1, metavar="N", help="Most images in one request.")] = 32,
    max_body: Annotated[int, Option(min=1, metavar="MB", help="Largest request, in millions of bytes.")] = 20,
    max_pixels: Annotated[int, Option(min=1, metavar="N", help="Most pixels of an image.")] = 50_000_000,
) -> None:
    """Serve predictions over HTTP, with a web page where you drop an image."""
    from facevalue.serve import run as serve_until_stopped
    from facevalue.serve.settings import Settings

    serve_until_stopped(
        model,
        Settings(host=host, port=port, max_files=max_files, max_body_bytes=max_body * 1_000_000, max_pixels=max_pixels),
    )
