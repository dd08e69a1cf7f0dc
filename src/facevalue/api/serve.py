"""``serve``: predictions over HTTP."""

from __future__ import annotations

from facevalue.serve import Settings, run
from facevalue.serve.served_model import Models


def serve(models: Models, *, host: str = "127.0.0.1", port: int = 8000, settings: Settings | None = None) -> None:
    """Serve model folders until the process is stopped; each may be replaced meanwhile.

    Parameters
    ----------
    models : a model folder, several (``NAME=FOLDER`` gives a name), or several by name.
    host : address to listen on; ``0.0.0.0`` for all.
    port : to listen on; 0 takes a free one.
    settings : limits, API key, workers, logs; its ``host`` and ``port`` take the place of those here.

    Raises
    ------
    UsageError
        A folder is no model, two have one name, or the port is taken.
    """
    run(models, settings or Settings(host=host, port=port))
