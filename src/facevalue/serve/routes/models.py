"""What is told of the models: list, card, report, drift."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse
from starlette.concurrency import run_in_threadpool

from facevalue.evidence.card import REPORT
from facevalue.evidence.published import public_card, public_report
from facevalue.serve.answers import Json, Refusal
from facevalue.serve.schemas import DriftState, ModelList, refusals
from facevalue.serve.service import Service

_OBJECT: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/json": {"schema": {"type": "object"}}}, "description": "The card."}
}

_REPORT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox allow-scripts"
)
"""The report is one page with its styles in it. In a sandbox, so that nothing in it can act for this server's pages."""


def router(service: Service) -> APIRouter:
    """``/models``, ``/card``, ``/report`` and ``/drift``, of the first model and by name."""
    routes = APIRouter(tags=["models"])

    @routes.get("/models", response_model=ModelList, responses=refusals(503))
    def models() -> Response:
        """The models that are served now, the one that ``/predict`` asks first."""
        found = [model.loaded.identity for model in service.models.values() if model.loaded is not None]
        if not found:
            raise Refusal(503, "no model is loaded; /v2/health/ready says why", retry_after=1)
        return Json({"models": found})

    def card_of(name: str | None) -> Response:
        return Json(public_card(service.loaded(name).card))

    @routes.get("/card", response_class=Json, responses={**_OBJECT, **refusals(503)})
    def card() -> Response:
        """The card of the first model, without local paths and commands."""
        return card_of(None)

    @routes.get("/models/{name}/card", response_class=Json, responses={**_OBJECT, **refusals(404, 503)})
    def card_named(name: str) -> Response:
        """The card of one model, without local paths and commands."""
        return card_of(name)

    async def report_of(name: str | None) -> Response:
        model = service.loaded(name)

        def read() -> str:
            try:
                page = (model.folder / REPORT).read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise Refusal(404, f"model {model.name} has no {REPORT}") from error
            return public_report(page, model.card)

        headers = {"Content-Security-Policy": _REPORT_POLICY, "Cache-Control": "no-cache"}
        return HTMLResponse(await run_in_threadpool(read), headers=headers)

    @routes.get("/report", response_class=HTMLResponse, responses=refusals(404, 503))
    async def report() -> Response:
        """The report page of the first model, without local paths and commands."""
        return await report_of(None)

    @routes.get("/models/{name}/report", response_class=HTMLResponse, responses=refusals(404, 503))
    async def report_named(name: str) -> Response:
        """The report page of one model, without local paths and commands."""
        return await report_of(name)

    @routes.get("/drift", response_model=DriftState, responses=refusals(503))
    def drift() -> Response:
        """Whether traffic is still like the calibration images, of the first model."""
        return Json(service.loaded(None).drift.to_dict())

    @routes.get("/models/{name}/drift", response_model=DriftState, responses=refusals(404, 503))
    def drift_named(name: str) -> Response:
        """Whether traffic is still like the calibration images, of one model."""
        return Json(service.loaded(name).drift.to_dict())

    return routes
