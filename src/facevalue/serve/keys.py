"""The API key."""

from __future__ import annotations

import hmac
from typing import final

from starlette.types import ASGIApp, Receive, Scope, Send

from facevalue.serve.answers import Refusal, refusal_response

OPEN = ("/v2/health/live", "/v2/health/ready", "/", "/static/", "/docs", "/openapi.json")
"""What needs no key: probes, and the page and documentation, which hold nothing of the model."""


@final
class ApiKey:
    """ASGI middleware: all but :data:`OPEN` wants the key, compared in constant time."""

    def __init__(self, app: ASGIApp, key: str) -> None:
        self.app = app
        self._key = key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not _is_open(scope["path"]) and not self._is_given(scope):
            refusal = Refusal(401, "send the API key as Authorization: Bearer KEY, or as X-API-Key")
            response = refusal_response(refusal)
            response.headers["WWW-Authenticate"] = "Bearer"
            await response(scope, receive, send)
            return
        await self.app(scope, receive, send)

    def _is_given(self, scope: Scope) -> bool:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        scheme, _, bearer = headers.get(b"authorization", b"").partition(b" ")
        given = bearer.strip() if scheme.lower() == b"bearer" else headers.get(b"x-api-key", b"")
        return hmac.compare_digest(given, self._key)


def _is_open(path: str) -> bool:
    return any(path == known or (known.endswith("/") and len(known) > 1 and path.startswith(known)) for known in OPEN)
