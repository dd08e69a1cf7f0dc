"""Starting the server."""

from __future__ import annotations

import logging
import logging.config
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

from facevalue.errors import MissingExtraError, UsageError
from facevalue.runtime import open_folder
from facevalue.serve.settings import Settings

_FORMAT = "%(asctime)s %(levelname)s %(message)s"

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": _FORMAT}},
    # Everything to standard error: standard output is for results only.
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "plain", "stream": "ext://sys.stderr"}},
    "loggers": {
        name: {"handlers": ["stderr"], "level": "INFO", "propagate": False} for name in ("uvicorn", "facevalue")
    },
}


def run(folder: Path | str, settings: Settings | None = None) -> None:
    """Serve a model folder until told to stop (SIGINT, SIGTERM); requests under way are answered first.

    Raises
    ------
    ModelFolderError
        The folder cannot be opened. (Once the server runs, a broken replacement leaves the old model serving.)
    UsageError
        The address is taken or not this machine's.
    MissingExtraError
        The extra ``serve`` is not installed.
    """
    try:
        import uvicorn

        from facevalue.serve.app import create_app
    except ImportError as error:
        raise MissingExtraError(error.name or "fastapi", "serve") from error
    settings = settings or Settings()
    open_folder(folder)  # wrong use is said now, in one line
    try:
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        listener = socket.create_server((settings.host, settings.port), family=family, backlog=2048)
    except OSError as error:
        reason = (error.strerror or str(error)).partition(" (")[0]  # Python adds the address, which is said already
        raise UsageError(
            f"cannot listen on {settings.host} port {settings.port}: {reason}; choose another `port`"
        ) from error
    logging.config.dictConfig(LOGGING)
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    logging.getLogger("facevalue.serve").info("listening on http://%s:%d", host, listener.getsockname()[1])
    config = uvicorn.Config(
        create_app(folder, settings),
        log_config=None,
        timeout_graceful_shutdown=settings.grace_seconds,
        server_header=False,
        ws="none",
    )
    # uvicorn raises KeyboardInterrupt once more after an orderly end; for a server, Ctrl-C is no failure.
    with listener, suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listener])
