"""Pages of other origins: Starlette's rules, with refusals in JSON."""

from __future__ import annotations

from typing import final

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response

from facevalue.serve.answers import Json


@final
class CrossOrigin(CORSMiddleware):
    """CORS, of which a preflight request that is refused is answered as all refusals are."""

    def preflight_response(self, request_headers: Headers) -> Response:
        """200, or 400 with the reason."""
        plain = super().preflight_response(request_headers)
        if plain.status_code < 400:
            return plain
        kept = {name: value for name, value in plain.headers.items() if not name.startswith("content-")}
        return Json({"error": bytes(plain.body).decode()}, plain.status_code, kept)
