"""``serve``: answer over HTTP."""

from __future__ import annotations

from pathlib import Path

from facevalue.serve import run
from facevalue.serve.settings import Settings


def serve(model: Path | str, *, host: str = "127.0.0.1", port: int = 8000) -> None:
    """Serve a model folder until the process is stopped; the folder may be replaced meanwhile.

    Parameters
    ----------
    host : address to listen on; ``0.0.0.0`` for all.
    port : to listen on; 0 takes a free one.

    Raises
    ------
    UsageError
        The folder is no model, or the port is taken.
    """
    run(Path(model), Settings(host=host, port=port))
