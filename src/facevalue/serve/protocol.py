"""HTTP connections that cannot be held open for nothing: what uvicorn's own protocol does not limit."""

from __future__ import annotations

import asyncio
import json
from http import HTTPStatus
from typing import Any, final

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEADERS = 100


class ConnectionLimits(msgspec.Struct, frozen=True):
    """What a connection may use: see :class:`facevalue.serve.settings.Settings`."""

    max_connections: int
    max_head_bytes: int
    head_seconds: float
    write_seconds: float


@final
class _RefusedHeadError(Exception):
    """A request's head is too large; raised to leave the parser."""


@final
class GuardedProtocol(HttpToolsProtocol):
    """uvicorn's protocol, with a time and a size for a request's head and a number of connections.

    A head that does not arrive in time closes the connection: clients that send a byte now and then (slow-loris) cannot
    hold it. What is left of a body after an early answer is taken in and forgotten for as long as a head may take, so
    that the client gets to read the answer. A client that does not read its answer is cut off as well.
    """

    def __init__(self, *args: Any, limits: ConnectionLimits, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.limits = limits
        self._timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._unsent = 0
        self._in_body = self._body_began = False
        self._head_bytes = self._parsed_bytes = self._head_count = 0
        self._status = HTTPStatus.BAD_REQUEST

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.limits.max_connections:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, "too many connections", retry=True)
            return
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_is_in()
        self._stop_watching_writes()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if self._timer is None and (self.cycle is None or self.cycle.response_complete):
            self._expect_head()
        was_in_head, was_in_body = self._timer is not None, self._in_body
        super().data_received(data)
        if not was_in_head or self._timer is None or self._in_body:
            return
        if was_in_body:  # the rest of a body is in, and the connection is as good as new
            self._head_is_in()
            self._keep_alive()
            return
        self._head_bytes += len(data)
        if self._head_bytes > self.limits.max_head_bytes:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the request's headers are too large")

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) > self.limits.max_head_bytes:
            self._status = HTTPStatus.REQUEST_URI_TOO_LONG
            raise _RefusedHeadError

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        self._head_count += 1
        self._parsed_bytes += len(name) + len(value)
        if self._head_count > MAX_HEADERS or self._parsed_bytes > self.limits.max_head_bytes:
            self._status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            raise _RefusedHeadError

    def on_headers_complete(self) -> None:
        self._head_is_in()
        self._in_body, self._body_began = True, False
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._body_began = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_body = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        if self._in_body and self.expect_100_continue and not self._body_began:
            # The client waits to be told to send its body, and may send another request instead.
            self.transport.close()
        super().on_response_complete()
        if self.transport.is_closing():
            # close() waits for the client to take what is left of the answer, however long that is.
            self._watch_writes()

    def timeout_keep_alive_handler(self) -> None:
        if self.transport.get_write_buffer_size():  # the client has not got its answer yet
            self._watch_writes()
            self._keep_alive()
        else:
            super().timeout_keep_alive_handler()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_writes()

    def resume_writing(self) -> None:
        if not self.transport.is_closing():
            self._stop_watching_writes()
        super().resume_writing()

    def _keep_alive(self) -> None:
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def _watch_writes(self) -> None:
        self._stop_watching_writes()
        self._unsent = self.transport.get_write_buffer_size()
        if self._unsent:
            self._write_timer = self.loop.call_later(self.limits.write_seconds, self._check_writes)

    def _check_writes(self) -> None:
        if self.transport.get_write_buffer_size() >= self._unsent:
            self.transport.abort()  # the client takes nothing of its answer
        else:
            self._watch_writes()

    def _stop_watching_writes(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def send_400_response(self, msg: str) -> None:
        reasons = {
            HTTPStatus.REQUEST_URI_TOO_LONG: "the request's path is too long",
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: f"the request has more than {MAX_HEADERS} headers, or too long",
        }
        self._refuse(self._status, reasons.get(self._status, "this is no HTTP request"))

    def _answered_as_plain_request(self) -> None:
        """A request to become a WebSocket is no reason to log anything: it is a plain request as well."""

    _unsupported_upgrade_warning = _answered_as_plain_request

    def _expect_head(self) -> None:
        self._head_bytes = 0
        self._timer = self.loop.call_later(self.limits.head_seconds, self._head_is_late)

    def _head_is_in(self) -> None:
        self._parsed_bytes = self._head_count = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _head_is_late(self) -> None:
        self._timer = None
        if self._head_bytes > 0 and not self._in_body:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, f"the headers took over {self.limits.head_seconds:g} s")
        else:
            self.transport.abort()

    def _refuse(self, status: HTTPStatus, reason: str, *, retry: bool = False) -> None:
        """Answer in JSON, as everything here is answered, and close. Not in the middle of another answer."""
        if not self.transport.is_closing() and (self.cycle is None or self.cycle.response_complete):
            body = json.dumps({"error": reason}).encode()
            lines = [
                f"HTTP/1.1 {status.value} {status.phrase}",
                "content-type: application/json",
                f"content-length: {len(body)}",
                *(["retry-after: 1"] if retry else []),
                "connection: close",
            ]
            self.transport.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        self._head_is_in()
        self.transport.close()
        self.loop.call_later(self.limits.write_seconds, self.transport.abort)
