"""The HTTP API over a model folder."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from facevalue.images.decoding import pixel_limit
from facevalue.runtime import Predictor
from facevalue.serve.answers import Refusal, prediction_as_json, refusal_response, unreadable
from facevalue.serve.figures import Figures
from facevalue.serve.limits import BodyLimit
from facevalue.serve.served_model import ServedModel
from facevalue.serve.settings import Settings
from facevalue.serve.uploads import FIELD, Upload, images_in
from facevalue.types import Prediction

STATIC = Path(__file__).with_name("static")

SECURITY = {
    # The page's own files and the images it was given; no inline script or style, no other host, no frame around it.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}

_BODY = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "properties": {FIELD: {"type": "array", "items": {"type": "string", "format": "binary"}}},
                "required": [FIELD],
            }
        },
        "image/*": {"schema": {"type": "string", "format": "binary"}},
    },
}


def create_app(folder: Path | str, settings: Settings | None = None) -> FastAPI:
    """The server's application.

    Starts whether or not ``folder`` can be opened; until it can, ``/v2/health/ready`` and ``/predict`` answer 503.

    Parameters
    ----------
    folder : model folder; it may be replaced while the application runs.
    settings : limits; host and port are for :func:`facevalue.serve.run`.
    """
    settings = settings or Settings()
    model = ServedModel(Path(folder), min(settings.max_pixels, pixel_limit()))
    figures = Figures()

    async def watch() -> None:
        while True:
            await asyncio.sleep(settings.poll_seconds)
            await run_in_threadpool(model.refresh)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await run_in_threadpool(model.refresh)
        watcher = asyncio.create_task(watch())
        yield
        watcher.cancel()
        with suppress(asyncio.CancelledError):
            await watcher

    # No docs_url: FastAPI's documentation pages load scripts from other hosts. /openapi.json is there.
    app = FastAPI(title="facevalue", lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.model = model
    app.add_middleware(BodyLimit, max_bytes=settings.max_body_bytes)

    @app.middleware("http")
    async def measure(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        begun = time.perf_counter()
        status = 500
        try:
            response = await call_next(request)
            status = response.status_code
            response.headers.update(SECURITY)
            return response
        finally:
            route = request.scope.get("route")
            path = getattr(route, "path", "static" if request.url.path.startswith("/static/") else "other")
            figures.answered(path, status, time.perf_counter() - begun)

    _say_errors_in_json(app)

    def ready_predictor() -> Predictor:
        if model.predictor is None:
            raise Refusal(503, f"no model is loaded: {model.problem or 'not yet; try again in a moment'}")
        return model.predictor

    @app.post("/predict", openapi_extra={"requestBody": _BODY})
    async def predict(request: Request, heat: Annotated[bool, Query()] = False) -> dict[str, Any]:
        """Judge one or several images.

        200 with one row per image in ``results``, in order; a file that is no image has ``error`` set. Where none
        can be read the answer is 422, or 413 if all are too large, with the rows beside the reason.
        """
        predictor = ready_predictor()
        uploads = await images_in(request, settings.max_files)
        predictions = await run_in_threadpool(_judge, predictor, uploads, heat)
        figures.judged(predictions)
        if all(prediction.error is not None for prediction in predictions):
            raise unreadable(predictions)
        return {"results": [prediction_as_json(prediction, heat) for prediction in predictions]}

    @app.get("/card")
    def card() -> Response:
        """The card of the model that is served now."""
        return Response(ready_predictor().card.to_json(), media_type="application/json")

    @app.get("/v2/health/live")
    def live() -> dict[str, bool]:
        """The process answers."""
        return {"live": True}

    @app.get("/v2/health/ready")
    def ready() -> JSONResponse:
        """200 while a model is served, else 503; ``detail`` says why a newer one could not be loaded."""
        is_ready = model.predictor is not None
        return JSONResponse({"ready": is_ready, "detail": model.problem}, 200 if is_ready else 503)

    @app.get("/metrics")
    def metrics() -> Response:
        """Figures for Prometheus."""
        text = figures.text(ready=model.predictor is not None, loads=model.loads)
        return Response(text, media_type=CONTENT_TYPE_LATEST)

    @app.get("/", include_in_schema=False)
    def page() -> FileResponse:
        return FileResponse(STATIC / "index.html", headers={"Cache-Control": "no-cache"})

    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    return app


def _judge(predictor: Predictor, uploads: list[Upload], heat: bool) -> list[Prediction]:
    return list(predictor.stream_named(uploads, heat=heat))


def _say_errors_in_json(app: FastAPI) -> None:
    """Every refusal, ours or the framework's, is ``{"error": reason}``."""

    @app.exception_handler(Refusal)
    async def refused(_: Request, refusal: Refusal) -> Response:
        return refusal_response(refusal)

    @app.exception_handler(HTTPException)
    async def not_found(request: Request, error: HTTPException) -> Response:
        return JSONResponse({"error": error.detail, "path": request.url.path}, error.status_code, error.headers)

    @app.exception_handler(RequestValidationError)
    async def wrong(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        return JSONResponse({"error": f"{'.'.join(map(str, first['loc']))}: {first['msg']}"}, 422)
