"""How large a request may be, asked before and while it comes in."""

from __future__ import annotations

from typing import final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from facevalue.serve.answers import Refusal, refusal_response


@final
class BodyLimit:
    """ASGI middleware: a body of more than ``max_bytes`` is answered with 413, whether it says its length or not."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self.app = app
        self.max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        refusal = Refusal(413, f"the request is larger than the {self.max_bytes:,} bytes allowed")
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if length.isdigit() and int(length) > self.max_bytes:
            await _drain(receive, 4 * self.max_bytes)
            await refusal_response(refusal)(scope, receive, send)
            return
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self.max_bytes:
                if message.get("more_body", False):
                    await _drain(receive, 4 * self.max_bytes)
                raise refusal
            return message

        await self.app(scope, counted, send)


async def _drain(receive: Receive, most: int) -> None:
    """Take in and forget what is left of a body, up to a point.

    Browsers and many clients send all before they read the answer; closing on them would show as a broken connection
    instead of the reason.
    """
    seen = 0
    while seen <= most:
        message = await receive()
        seen += len(message.get("body", b""))
        if message["type"] != "http.request" or not message.get("more_body", False):
            return
