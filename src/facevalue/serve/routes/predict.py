"""Predictions and heat."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from facevalue.faces.gate import WhichFaces
from facevalue.serve.answers import Json, Refusal, prediction_as_json, unreadable
from facevalue.serve.engine import Asked
from facevalue.serve.heat_image import View, heat_png
from facevalue.serve.schemas import PredictAnswer, refusals
from facevalue.serve.service import Service
from facevalue.serve.uploads import BODY, images_in

_PREDICT = refusals(400, 408, 413, 415, 422, 503)
_NAMED = refusals(400, 404, 408, 413, 415, 422, 503)
_FILE = {"schema": {"type": "string", "format": "binary"}}
_PNG: dict[int | str, dict[str, Any]] = {200: {"content": {"image/png": _FILE}, "description": "The heat."}}


def router(service: Service) -> APIRouter:
    """``/predict`` and ``/explain``, of the first model and by name."""
    routes = APIRouter(tags=["predictions"])

    async def predict(request: Request, name: str | None, asked: Asked, marks: bool) -> Response:
        model = service.loaded(name)
        if asked.faces == "all" and not model.sees_faces:
            raise Refusal(422, f"faces=all needs a model that was trained on faces; {model.name} takes whole images")
        uploads = await images_in(request, service.settings.max_files)
        files = [data for _, data in uploads]
        judged = await service.judge(request, model, files, asked)
        found = await service.marks_of(request, files) if marks else [None] * len(files)
        predictions = [
            replace(one.prediction.named(path), marks=own)
            for rows, (path, _), own in zip(judged, uploads, found, strict=True)
            for one in rows
        ]
        service.figures.unreadable(sum(prediction.error is not None for prediction in predictions))
        if all(prediction.error is not None for prediction in predictions):
            raise unreadable(predictions)
        rows = [prediction_as_json(prediction, asked.heat) for prediction in predictions]
        return Json({"model": model.identity, "results": rows})

    async def explain(request: Request, name: str | None, view: View) -> Response:
        model = service.loaded(name)
        if not model.predictor.has_heat:
            raise Refusal(422, f"the network of {model.name} cannot show what spoke for its answer")
        uploads = await images_in(request, 1)
        (rows,) = await service.judge(request, model, [uploads[0][1]], Asked(heat=True))
        judged = rows[0]
        if judged.prediction.error is None and not judged.prediction.faces and judged.pixels is None:
            raise Refusal(422, f"there is nothing to explain: {judged.prediction.detail}", path=uploads[0][0])
        if judged.pixels is None or judged.prediction.heat is None:
            raise unreadable([judged.prediction.named(uploads[0][0])])
        png = await run_in_threadpool(heat_png, judged.pixels, judged.prediction.heat, view)
        headers = {
            "X-Model-Name": model.name,
            "X-Model-Version": model.version,
            "X-Leaning": quote(judged.prediction.leaning or ""),
        }
        if judged.prediction.box is not None:
            headers["X-Face-Box"] = " ".join(map(str, judged.prediction.box))
        return Response(png, media_type="image/png", headers=headers)

    predict_options: dict[str, Any] = {"response_model": PredictAnswer, "openapi_extra": {"requestBody": BODY}}

    @routes.post("/predict", responses=_PREDICT, **predict_options)
    async def predict_first(
        request: Request,
        heat: Annotated[bool, Query()] = False,
        faces: Annotated[WhichFaces, Query()] = "largest",
        marks: Annotated[bool, Query()] = False,
    ) -> Response:
        """Judge one or several images with the server's first model.

        200 with one row per image in ``results``, in order; a file that is no image has ``error`` set. Where none
        can be read the answer is 422, or 413 if all are too large, with the rows beside the reason. A model of faces
        is asked about the largest face; with ``faces=all`` there is a row for each face. With ``marks=true`` each row
        also has what the file says of its own origin.
        """
        return await predict(request, None, Asked(heat, faces), marks)

    @routes.post("/models/{name}/predict", responses=_NAMED, **predict_options)
    async def predict_named(
        request: Request,
        name: str,
        heat: Annotated[bool, Query()] = False,
        faces: Annotated[WhichFaces, Query()] = "largest",
        marks: Annotated[bool, Query()] = False,
    ) -> Response:
        """Judge one or several images with one model; as ``/predict``."""
        return await predict(request, name, Asked(heat, faces), marks)

    explain_options: dict[str, Any] = {"response_class": Response, "openapi_extra": {"requestBody": BODY}}

    @routes.post("/explain", responses={**_PNG, **_PREDICT}, **explain_options)
    async def explain_first(request: Request, view: Annotated[View, Query()] = "overlay") -> Response:
        """What in one image spoke for the class leant to, as a PNG of the network input's size.

        The header ``X-Leaning`` has the class, percent-encoded; for a model of faces the image is the crop of the
        largest face, and ``X-Face-Box`` has its left, top, width and height in the upright image.
        ``view=heat`` is the heat alone, as grey.
        """
        return await explain(request, None, view)

    @routes.post("/models/{name}/explain", responses={**_PNG, **_NAMED}, **explain_options)
    async def explain_named(request: Request, name: str, view: Annotated[View, Query()] = "overlay") -> Response:
        """What in one image spoke for one model's answer; as ``/explain``."""
        return await explain(request, name, view)

    return routes
