"""The HTTP API over model folders."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, HTMLResponse
from fastapi.staticfiles import StaticFiles
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from facevalue.serve.answers import Json, Refusal, refusal_response
from facevalue.serve.cross_origin import CrossOrigin
from facevalue.serve.docs_page import docs_page
from facevalue.serve.keys import ApiKey
from facevalue.serve.limits import BodyLimit
from facevalue.serve.observing import Observed
from facevalue.serve.routes import models, predict, protocol
from facevalue.serve.schemas import completed
from facevalue.serve.served_model import Models, named_folders
from facevalue.serve.service import ClientGoneError, Service
from facevalue.serve.settings import Settings
from facevalue.serve.tracing import Tracing, to_collector
from facevalue.support import machine
from facevalue.web.page import STATIC, page

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider

log = logging.getLogger("facevalue.serve")

DOCS_STYLE = Path(__file__).with_name("docs.css")


def create_app(
    folders: Models, settings: Settings | None = None, tracer_provider: TracerProvider | None = None
) -> FastAPI:
    """The server's application, for any ASGI server.

    Starts whether or not the folders can be opened; until they can, ``/v2/health/ready`` and ``/predict`` answer 503.

    Parameters
    ----------
    folders : a model folder, several, or several by name; each may be replaced while the application runs.
    settings : limits; address, workers, connections and logs are for :func:`facevalue.serve.run`.
    tracer_provider : of OpenTelemetry, takes the traces instead of the collector that ``settings.traces`` sends to.
        It is shut down with the application.

    Raises
    ------
    MissingExtraError
        Traces are asked for, and the extra ``otel`` is not installed.
    """
    settings = settings or Settings()
    tracing = Tracing(tracer_provider) if tracer_provider is not None else None
    if tracing is None and settings.traces:
        tracing = to_collector()
    service = Service(named_folders(folders), settings, tracing)

    async def watch() -> None:
        while True:
            await asyncio.sleep(settings.poll_seconds)
            try:
                await run_in_threadpool(service.refresh)
                if service.figures.is_shared:  # any of the processes may be asked for the figures of all
                    service.figures.update(service.models.values(), service.engine.pending)
                if service.engine.rested():
                    # Bodies come in small pieces between which others live on; the heap would keep its largest size.
                    await run_in_threadpool(machine.trim_memory)
            except Exception:  # whatever it is, the server goes on looking
                log.exception("the model folders could not be looked at")

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await run_in_threadpool(service.refresh)
        watcher = asyncio.create_task(watch())
        yield
        watcher.cancel()
        with suppress(asyncio.CancelledError):
            await watcher
        service.close()
        if tracing is not None:
            await run_in_threadpool(tracing.close)

    app = FastAPI(
        title="facevalue",
        version=metadata.version("facevalue"),
        description="Predictions of image classifiers, with calibrated probabilities.",
        lifespan=lifespan,
        docs_url=None,  # FastAPI's pages load scripts from other hosts; /docs is our own
        redoc_url=None,
        redirect_slashes=False,
    )
    _complete_document(app, list(service.models), settings.api_key is not None)
    app.state.service = service
    # The last one added is the outermost.
    app.add_middleware(BodyLimit, settings=settings, figures=service.figures)
    if settings.api_key is not None:
        app.add_middleware(ApiKey, key=settings.api_key)
    if settings.cors_origins:
        app.add_middleware(
            CrossOrigin,
            allow_origins=list(settings.cors_origins),
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", "X-API-Key", "X-Request-ID"],
            expose_headers=[
                "X-Request-ID",
                "X-Model-Name",
                "X-Model-Version",
                "X-Leaning",
                "X-Face-Box",
                "Retry-After",
            ],
        )
    app.add_middleware(Observed, figures=service.figures, tracing=tracing)
    _say_errors_in_json(app)
    for part in (predict, models, protocol):
        app.include_router(part.router(service))

    shown = page("server")

    @app.get("/", include_in_schema=False)
    async def index() -> HTMLResponse:
        return HTMLResponse(shown, headers={"Cache-Control": "no-cache"})

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(docs_page(app.openapi()))

    @app.get("/static/docs.css", include_in_schema=False)
    async def docs_style() -> FileResponse:
        return FileResponse(DOCS_STYLE)

    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    return app


def _complete_document(app: FastAPI, names: list[str], has_key: bool) -> None:
    plain = app.openapi

    def whole() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = completed(plain(), names, has_key)
        return app.openapi_schema

    app.openapi = whole  # type: ignore[method-assign]


def _say_errors_in_json(app: FastAPI) -> None:
    """Every refusal, ours or the framework's, is ``{"error": reason}``."""

    @app.exception_handler(Refusal)
    async def refused(_: Request, refusal: Refusal) -> Response:
        return refusal_response(refusal)

    @app.exception_handler(ClientGoneError)
    @app.exception_handler(ClientDisconnect)  # before the whole body was in
    async def gone(_: Request, __: Exception) -> Response:
        return Json({"error": "the client has gone"}, 499)  # for the log; nobody reads it

    @app.exception_handler(HTTPException)
    async def not_found(request: Request, error: HTTPException) -> Response:
        return Json({"error": error.detail, "path": request.scope["path"]}, error.status_code, error.headers)

    @app.exception_handler(RequestValidationError)
    async def wrong(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        return Json({"error": f"{'.'.join(map(str, first['loc']))}: {first['msg']}"}, 422)
