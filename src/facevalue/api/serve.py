"""``serve``: predictions over HTTP."""

from __future__ import annotations

from pathlib import Path

from facevalue.serve import run
from facevalue.serve.settings import Settings


def serve(model: Path | str, *, host: str = "127.0.0.1", port: int = 8000) -> None:
    """Serve a model folder until the process is stopped. The folder may be replaced while it is served.

    Parameters
    ----------
    host : address to listen on; ``0.0.0.0`` for all.
    port : port to listen on; 0 chooses a free one.

    Raises
    ------
    UsageError
        The folder is not a model, or the port is in use.
    """
    run(Path(model), Settings(host=host, port=port))
