"""How large a request's body may be, how long it may take, and how many bytes are held at a time."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from facevalue.serve.answers import Refusal, refusal_response
from facevalue.serve.figures import Figures
from facevalue.serve.settings import Settings

FREE = 65_536
"""Bytes of each body that do not count. The server's buffers hold as much of every connection anyway."""

RATE = 200_000
PATIENCE = 5.0
"""Bytes a second at which a body has to come while others wait for its room, after this many seconds."""

LOOK = 0.25
"""Seconds after which a slow body looks whether others wait."""


@final
class Budget:
    """Bytes that bodies may take, all requests together. Requests wait their turn, first come first served."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.free = most
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def is_wanted(self) -> bool:
        """Whether a request waits."""
        return bool(self._waiting)

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
                with suppress(ValueError):  # taken out meanwhile, by `_serve` for another request
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
            if headers.get(b"expect", b"").lower() != b"100-continue":  # such a client has not begun to send it
                await _drain(receive, 8 * most, self.settings.body_seconds)
            await refusal_response(_too_large(most))(scope, receive, send)
            return
        if b"transfer-encoding" in headers:
            expected = most  # not said, so as much as it may be
        if expected == 0:
            await self.app(scope, receive, send)
            return
        body = _Body(receive, expected, self.settings, self.figures, self.budget)
        try:
            await self.app(scope, body.receive, send)
        finally:
            body.let_go()


@final
class _Body:
    """One request's body as it comes in.

    Its first :data:`FREE` bytes cost nothing. If there are more, it waits until there is room for all of it. A room
    that others wait for is kept only while the body comes at :data:`RATE`: a few clients that say that they will send
    much, and do not, cannot keep all others out.

    Parameters
    ----------
    expected : bytes, as the client says, or as many as are allowed.
    """

    def __init__(self, receive: Receive, expected: int, settings: Settings, figures: Figures, budget: Budget) -> None:
        self._receive = receive
        self._expected = expected
        self._settings = settings
        self._figures = figures
        self._budget = budget
        self._clock = asyncio.get_running_loop().time
        self._deadline = self._clock() + settings.body_seconds
        self._held = self._seen = 0
        self._since = 0.0
        self._is_complete = False

    async def receive(self) -> Message:
        """The next part of the body; after it, what comes then.

        Raises
        ------
        Refusal
            408 too slow, 413 too large, 503 there is no room.
        """
        if self._is_complete:
            return await self._receive()
        message = await self._in_time()
        self._seen += len(message.get("body", b""))
        self._is_complete = not message.get("more_body", False)
        most = self._settings.max_body_bytes
        if self._seen > most:
            if not self._is_complete:
                await _drain(self._receive, 8 * most, self._settings.body_seconds)
            raise _too_large(most)
        if self._seen > FREE and not self._held:
            await self._take_room(self._seen if self._is_complete else self._expected)
        return message

    def let_go(self) -> None:
        """The body is not held any more."""
        if self._held:
            self._budget.give(self._held)

    async def _take_room(self, n: int) -> None:
        begun = self._clock()
        try:
            await self._budget.take(n, self._settings.request_seconds)
        except TimeoutError:
            self._figures.refused("memory")
            raise Refusal(503, "the server is busy with other requests; try again", retry_after=1) from None
        self._held = n
        self._since = self._clock()
        self._deadline += self._since - begun

    async def _in_time(self) -> Message:
        while True:
            until = self._deadline
            if self._held:
                slow = self._since + PATIENCE + (self._seen - FREE) / RATE
                until = min(until, max(slow, self._clock() + LOOK))
            try:
                async with asyncio.timeout_at(until):
                    return await self._receive()
            except TimeoutError:
                if self._clock() >= self._deadline:
                    why = f"the request's body took more than {self._settings.body_seconds:g} s"
                    raise Refusal(408, why, close=True) from None
                if self._budget.is_wanted:
                    why = f"the request's body came at less than {RATE // 1000} kB/s while others wait; try again"
                    raise Refusal(408, why, retry_after=1, close=True) from None


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
