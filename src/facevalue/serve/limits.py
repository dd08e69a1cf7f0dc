"""How large a request's body may be, how long it may take, and how many bytes are held at a time."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from facevalue.serve.answers import Refusal, refusal_response
from facevalue.serve.figures import Figures
from facevalue.serve.settings import Settings


@final
class Budget:
    """Bytes that bodies may take, all requests together. Requests wait their turn, first come first served."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.free = most
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def take(self, n: int, seconds: float) -> None:
        """Wait for ``n`` bytes, to be given back; :class:`TimeoutError` where they do not become free in time."""
        if n <= self.free and not self._waiting:
            self.free -= n
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((n, turn))
        try:
            async with asyncio.timeout(seconds):
                await turn
        except BaseException:
            if turn.done() and not turn.cancelled():
                self.give(n)
            else:
                self._waiting.remove((n, turn))
                self._serve()
            raise

    def give(self, n: int) -> None:
        """Give back what was taken."""
        self.free += n
        self._serve()

    def _serve(self) -> None:
        while self._waiting and self._waiting[0][0] <= self.free:
            n, turn = self._waiting.popleft()
            if not turn.done():
                self.free -= n
                turn.set_result(None)


@final
class BodyLimit:
    """ASGI middleware: bodies that are too large (413), too slow (408) or too many at a time (503)."""

    def __init__(self, app: ASGIApp, settings: Settings, figures: Figures) -> None:
        self.app = app
        self.settings = settings
        self.figures = figures
        self.budget = Budget(settings.max_memory_bytes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers, most = dict(scope["headers"]), self.settings.max_body_bytes
        length = headers.get(b"content-length", b"0")
        expected = int(length) if length.isdigit() else 0
        if expected > most:
            await _drain(receive, 8 * most, self.settings.body_seconds)
            await refusal_response(_too_large(most))(scope, receive, send)
            return
        if b"transfer-encoding" in headers:
            expected = most  # not said, so as much as it may be
        if expected == 0:
            await self.app(scope, receive, send)
            return
        try:
            await self.budget.take(expected, self.settings.request_seconds)
        except TimeoutError:
            self.figures.refused("memory")
            busy = Refusal(503, "the server is busy with other requests; try again", retry_after=1, close=True)
            await refusal_response(busy)(scope, receive, send)
            return
        try:
            await self.app(scope, self._limited(receive), send)
        finally:
            self.budget.give(expected)

    def _limited(self, receive: Receive) -> Receive:
        most, seconds = self.settings.max_body_bytes, self.settings.body_seconds
        deadline = asyncio.get_running_loop().time() + seconds
        seen, complete = 0, False

        async def limited() -> Message:
            nonlocal seen, complete
            if complete:
                return await receive()
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError as error:
                raise Refusal(408, f"the request's body took more than {seconds:g} s", close=True) from error
            seen += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            if seen > most:
                if not complete:
                    await _drain(receive, 8 * most, seconds)
                raise _too_large(most)
            return message

        return limited


def _too_large(most: int) -> Refusal:
    return Refusal(413, f"the request is larger than the {most:,} bytes allowed", close=True)


async def _drain(receive: Receive, most: int, seconds: float) -> None:
    """Take in and forget what is left of a body, up to a point.

    Browsers and many clients send all before they read the answer; closing on them would show as a broken connection
    instead of the reason.
    """
    seen = 0
    try:
        async with asyncio.timeout(seconds):
            while seen <= most:
                message = await receive()
                seen += len(message.get("body", b""))
                if message["type"] != "http.request" or not message.get("more_body", False):
                    return
    except TimeoutError:
        return
