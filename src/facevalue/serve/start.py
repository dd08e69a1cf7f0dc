"""Starting the server: one process, or several that share the port."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from socket import socket
from typing import TYPE_CHECKING

from facevalue.errors import MissingExtraError
from facevalue.serve import logs, sockets
from facevalue.serve.served_model import Models, named_folders
from facevalue.serve.settings import Settings
from facevalue.serve.tracing import expect_sdk

if TYPE_CHECKING:
    import uvicorn


def run(folders: Models, settings: Settings | None = None) -> None:
    """Serve model folders until told to stop (SIGINT, SIGTERM); requests under way are answered first.

    Parameters
    ----------
    folders : a model folder, several, or several by name. The first is the one that paths without a name ask.

    Raises
    ------
    ModelFolderError
        A folder cannot be opened. (Once the server runs, a broken replacement leaves the old model serving.)
    UsageError
        The address is taken or not this machine's; two models have one name.
    MissingExtraError
        The extra ``serve`` is not installed, or traces are asked for and the extra ``otel`` is not.
    """
    _expect_extra()
    settings = settings or Settings()
    settings.mark_reader()
    if settings.traces:
        expect_sdk()
    named = named_folders(folders)
    for folder in named.values():
        settings.opened(folder)  # wrong use is said now, in one line
    listener = sockets.listen(settings.host, settings.port)
    with listener:
        logs.set_up(settings.log_format, settings.log_level)
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        logging.getLogger("facevalue.serve").info("listening on http://%s:%d", host, listener.getsockname()[1])
        if settings.workers == 1:
            serve_on(listener, named, settings)
        else:
            from facevalue.serve.workers import supervise

            supervise(listener, named, settings)


def _expect_extra() -> None:
    """Before the port is opened; nothing is imported, because workers must set their environment before."""
    for package in ("uvicorn", "fastapi", "prometheus_client"):
        try:
            there = find_spec(package) is not None
        except ImportError:
            there = False
        if not there:
            raise MissingExtraError(package, "serve")


def serve_on(listener: socket, folders: Mapping[str, Path], settings: Settings) -> None:
    """Serve on a listening socket in this process, until it is told to stop."""
    server = server_of(folders, settings)
    # uvicorn raises KeyboardInterrupt once more after an orderly end; for a server, Ctrl-C is no failure.
    with suppress(KeyboardInterrupt):
        server.run(sockets=[listener])


def server_of(folders: Mapping[str, Path], settings: Settings) -> uvicorn.Server:
    """uvicorn's server, with our limits on connections."""
    try:
        import uvicorn

        from facevalue.serve.app import create_app
        from facevalue.serve.protocol import ConnectionLimits, GuardedProtocol
    except ImportError as error:
        raise MissingExtraError(error.name or "fastapi", "serve") from error
    limits = ConnectionLimits(
        max_connections=settings.max_connections,
        max_head_bytes=settings.max_head_bytes,
        head_seconds=settings.head_seconds,
        write_seconds=settings.write_seconds,
    )
    config = uvicorn.Config(
        create_app(dict(folders), settings),
        http=partial(GuardedProtocol, limits=limits),  # type: ignore[arg-type]
        loop="auto",  # uvloop where it is installed
        log_config=None,
        access_log=False,  # observing.py writes a better one
        timeout_graceful_shutdown=settings.grace_seconds,
        timeout_keep_alive=settings.keep_alive_seconds,  # type: ignore[arg-type]
        server_header=False,
        ws="none",
    )
    return uvicorn.Server(config)
