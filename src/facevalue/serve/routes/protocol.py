"""The Open Inference Protocol, version 2, and what else is for machines that watch a server."""

from __future__ import annotations

from importlib import metadata
from typing import Any

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.concurrency import run_in_threadpool

from facevalue.serve.answers import Json, Refusal
from facevalue.serve.engine import Asked
from facevalue.serve.inference_protocol import HEADER, inputs_of, outputs_of, read_request, write_answer
from facevalue.serve.schemas import (
    InferAnswer,
    Live,
    ModelMetadata,
    ModelReady,
    Ready,
    ServerMetadata,
    refusals,
)
from facevalue.serve.service import Service

_BINARY = {"schema": {"type": "string", "format": "binary"}}
_INFER: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/InferRequest"}},
            "application/octet-stream": _BINARY,
        },
    },
    "parameters": [
        {
            "name": HEADER,
            "in": "header",
            "required": False,
            "schema": {"type": "string"},
            "description": "Length of the JSON before binary tensors.",
        }
    ],
}
_INFERRED: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/octet-stream": _BINARY}, "description": "The outputs, as JSON or in binary."},
    **refusals(400, 404, 408, 413, 415, 503),
}


def router(service: Service) -> APIRouter:
    """``/v2/…`` and ``/metrics``."""
    routes = APIRouter(tags=["Open Inference Protocol"])

    @routes.get("/v2", response_model=ServerMetadata, responses=refusals())
    @routes.get("/v2/", response_model=ServerMetadata, responses=refusals(), include_in_schema=False)
    async def server() -> Response:
        """The server's name, version and extensions."""
        version = metadata.version("facevalue")
        return Json({"name": "facevalue", "version": version, "extensions": ["binary_tensor_data"]})

    @routes.get("/v2/health/live", response_model=Live, responses=refusals())
    async def live() -> Response:
        """The process answers."""
        return Json({"live": True})

    @routes.get(
        "/v2/health/ready",
        response_model=Ready,
        responses={**refusals(), 503: {"model": Ready, "description": "A model is not served."}},
    )
    async def ready() -> Response:
        """200 while every model is served, else 503; ``detail`` says why a newer one could not be loaded."""
        states = {}
        for model in service.models.values():
            loaded = model.loaded
            states[model.name] = {
                "ready": loaded is not None,
                "version": None if loaded is None else loaded.version,
                "detail": model.problem,
                "drift": None if loaded is None else loaded.drift.to_dict(),
            }
        is_ready = all(state["ready"] for state in states.values())
        problems = [model.problem for model in service.models.values() if model.problem]
        answer = {"ready": is_ready, "detail": "; ".join(problems) or None, "models": states}
        return Json(answer, 200 if is_ready else 503)

    def metadata_of(name: str, version: str | None) -> Response:
        model = service.loaded(name, version)
        return Json(
            {
                "name": name,
                "versions": [model.version],
                "platform": "openvino" if model.predictor.engine.startswith("openvino") else "onnxruntime_onnx",
                "inputs": inputs_of(model.card),
                "outputs": outputs_of(model.card, model.predictor.has_heat),
            }
        )

    def readiness_of(name: str, version: str | None) -> Response:
        service.loaded(name, version)
        return Json({"name": name, "ready": True})

    async def infer(request: Request, name: str, version: str | None) -> Response:
        model = service.loaded(name, version)
        if request.headers.get("content-encoding", "identity").lower() not in ("identity", ""):
            raise Refusal(415, "Expected a body without Content-Encoding; images are compressed already")
        body = await request.body()
        asked = await run_in_threadpool(
            read_request,
            body,
            request.headers.get(HEADER),
            model.card,
            model.predictor.has_heat,
            service.settings.max_files,
        )
        heat = any(name == "heat" for name, _ in asked.outputs)
        # The largest face, or none: one answer for each image.
        answers = [rows[0] for rows in await service.judge(request, model, asked.images, Asked(heat))]
        for i, answer in enumerate(answers):
            if answer.prediction.error is not None:
                service.figures.unreadable(1)
                raise Refusal(413 if answer.prediction.too_large else 400, f"image {i} {answer.prediction.error}")
        content, headers = await run_in_threadpool(
            write_answer, answers, asked, model.identity, len(model.card.classes)
        )
        return Response(content, headers=headers)

    base, versioned = "/v2/models/{name}", "/v2/models/{name}/versions/{version}"

    @routes.get(base, response_model=ModelMetadata, responses=refusals(404, 503))
    async def model_metadata(name: str) -> Response:
        """The model's version, inputs and outputs."""
        return metadata_of(name, None)

    @routes.get(versioned, response_model=ModelMetadata, responses=refusals(404, 503))
    async def version_metadata(name: str, version: str) -> Response:
        """The same, while this is the version that is served."""
        return metadata_of(name, version)

    @routes.get(base + "/ready", response_model=ModelReady, responses=refusals(404, 503))
    async def model_ready(name: str) -> Response:
        """200 while the model is served."""
        return readiness_of(name, None)

    @routes.get(versioned + "/ready", response_model=ModelReady, responses=refusals(404, 503))
    async def version_ready(name: str, version: str) -> Response:
        """200 while this version is served."""
        return readiness_of(name, version)

    @routes.post(base + "/infer", response_model=InferAnswer, responses=_INFERRED, openapi_extra=_INFER)
    async def model_infer(request: Request, name: str) -> Response:
        """Judge images: ``images`` as files (BYTES; base64 in JSON), or ``pixels`` as network inputs (UINT8).

        A model of faces looks for the largest face in ``images``; where there is none, ``reasons`` is ``no_face`` and
        the numbers are NaN (null in JSON). ``pixels`` are crops of faces already.
        """
        return await infer(request, name, None)

    @routes.post(versioned + "/infer", response_model=InferAnswer, responses=_INFERRED, openapi_extra=_INFER)
    async def version_infer(request: Request, name: str, version: str) -> Response:
        """The same, while this is the version that is served."""
        return await infer(request, name, version)

    @routes.get(
        "/metrics",
        response_class=Response,
        tags=["operation"],
        responses={
            200: {
                "content": {CONTENT_TYPE_LATEST: {"schema": {"type": "string"}}},
                "description": "Prometheus's text format.",
            },
            **refusals(),
        },
    )
    def metrics() -> Response:
        """Figures for Prometheus."""
        text = service.figures.text(service.models.values(), service.engine.pending)
        return Response(text, headers={"Content-Type": CONTENT_TYPE_LATEST})

    return routes
