"""What is done around every request: an id, a line in the log, figures, headers, and JSON where all else failed."""

from __future__ import annotations

import logging
import re
import secrets
import time
from typing import final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from facevalue.serve.answers import Refusal, refusal_response
from facevalue.serve.figures import Figures
from facevalue.serve.tracing import Tracing

log = logging.getLogger("facevalue.serve.requests")

SECURITY = {
    # The page's own files and the images it was given; no inline script or style, no other host, no frame around it.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}

_GIVEN_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_QUIET = ("/v2/health/live", "/v2/health/ready", "/metrics")
"""Asked every few seconds by machines: logged at level debug where they are answered well."""


@final
class Observed:
    """ASGI middleware around everything else."""

    def __init__(self, app: ASGIApp, figures: Figures, tracing: Tracing | None = None) -> None:
        self.app = app
        self.figures = figures
        self.tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun, status = time.perf_counter(), 0
        request_id = _request_id(scope)
        facts: dict[str, object] = {}
        scope["facevalue"] = facts
        traced = None if scope["path"] in _QUIET else self.tracing
        if traced is not None:
            traced.begin(scope)

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request_id
                for name, value in SECURITY.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self.app(scope, receive, sending)
        except Exception:
            log.exception("request %s failed", request_id, extra={"request_id": request_id})
            if status:
                raise  # the answer has begun: the connection is all that can be closed
            refusal = Refusal(500, f"the server failed; its log says more under {request_id}", close=True)
            await refusal_response(refusal)(scope, receive, sending)
        finally:
            seconds = time.perf_counter() - begun
            path = _route(scope)
            status = status or 499  # the client went before there was an answer
            self.figures.answered(path, status, seconds)
            if traced is not None:
                traced.end(scope, path, {"request_id": request_id, "status": status, **facts})
            level = logging.DEBUG if path in _QUIET and status < 400 else logging.INFO
            if log.isEnabledFor(level):
                told = {"request_id": request_id, "method": scope["method"], "path": path, "status": status}
                told |= {"milliseconds": round(1000 * seconds, 1), **facts}
                log.log(level, " ".join(f"{key}={value}" for key, value in told.items()), extra={"facts": told})


def _request_id(scope: Scope) -> str:
    """The client's ``X-Request-ID`` where it is harmless, else a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            text = value.decode("latin-1")
            if _GIVEN_ID.fullmatch(text):
                return str(text)
    return secrets.token_hex(8)


def _route(scope: Scope) -> str:
    """The route's pattern, never a client's text: labels must stay few."""
    route = scope.get("route")
    path = getattr(route, "path", None)
    return path if isinstance(path, str) and path else "static" if scope["path"].startswith("/static/") else "other"
