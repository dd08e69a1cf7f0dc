"""Bodies that come slowly, in part or for nothing: the client reads why, and others do not wait."""

from __future__ import annotations

import asyncio
import gc
import http.client
import logging
import socket
import time
import weakref
from contextlib import ExitStack
from pathlib import Path

import httpx
import numpy as np
import pytest

from facevalue.evidence.card import REPORT
from facevalue.runtime import open_folder
from facevalue.serve import limits
from facevalue.serve.answers import Refusal
from facevalue.serve.engine import Asked, Engine
from facevalue.serve.figures import Figures
from facevalue.serve.limits import Budget
from facevalue.serve.served_model import Loaded

from .conftest import serving, until
from .test_limits import connected, received, refusal, still_alive
from .test_predict import huge_png, post

PNG = {"Content-Type": "image/png"}
FORM = {"Content-Type": "multipart/form-data; boundary=x"}
PART = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n' + bytes(100_000) + b"\r\n"


def head(path: str, length: int, *lines: str) -> bytes:
    return "\r\n".join([f"POST {path} HTTP/1.1", "Host: a", f"Content-Length: {length}", *lines, "", ""]).encode()


@pytest.mark.parametrize(
    ("path", "headers", "body", "status"),
    [
        ("/nothing", {}, bytes(5_000_000), 404),
        ("/card", {}, bytes(5_000_000), 405),
        ("/predict", {}, bytes(5_000_000), 415),
        ("/models/x/predict", PNG, bytes(5_000_000), 404),
        ("/predict", FORM, 50 * PART + b"--x--", 413),
        ("/predict", FORM, b"no form" + bytes(5_000_000), 400),
        ("/predict", PNG | {"X-API-Key": "wrong"}, bytes(5_000_000), 401),
    ],
)
def test_clients_that_send_all_before_they_read_are_told(
    path: str, headers: dict[str, str], body: bytes, status: int, folder: Path, lfw: Path
) -> None:
    """The answer comes before the body is in; the rest is taken in, and the connection goes on."""
    key = {"X-API-Key": "correct horse"}
    with serving(folder, api_key="correct horse") as client:
        connection = http.client.HTTPConnection(client.base_url.host, client.base_url.port or 80, timeout=20)
        for _ in range(2):
            connection.request("POST", path, body, key | headers)
            answer = connection.getresponse()
            assert answer.status == status
            assert b'{"error":' in answer.read()
        connection.request("POST", "/predict", (lfw / "face" / "face-000.png").read_bytes(), key | PNG)
        assert connection.getresponse().status == 200
        connection.close()


def test_bodies_that_are_announced_take_no_room(folder: Path, lfw: Path) -> None:
    """A hundred clients say that they will send much, and send nothing: nobody waits for them."""
    data = (lfw / "face" / "face-000.png").read_bytes() + bytes(100_000)
    with serving(folder) as client, ExitStack() as held:
        for _ in range(100):
            held.enter_context(connected(client)).sendall(head("/predict", 19_000_000, "Content-Type: image/png"))
        start = time.monotonic()
        assert post(client, ("a.png", data)).status_code == 200
        assert time.monotonic() - start < 2


def test_slow_bodies_give_way(folder: Path, lfw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PATIENCE", 0.3)
    data = (lfw / "face" / "face-000.png").read_bytes() + bytes(100_000)
    with serving(folder, max_body_bytes=4_000_000, max_memory_bytes=4_000_000) as client, connected(client) as slow:
        slow.sendall(head("/predict", 3_950_000, "Content-Type: image/png") + bytes(70_000))
        time.sleep(0.1)
        start = time.monotonic()
        assert post(client, ("a.png", data)).status_code == 200
        assert 0.1 < time.monotonic() - start < 5
        status, why = refusal(received(slow))
        assert status == 408
        assert why == "the request's body came at less than 200 kB/s while others wait; try again"
        still_alive(client, lfw)


def test_a_slow_body_is_taken_while_nobody_waits(
    client: httpx.Client, lfw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PATIENCE", 0.0)
    monkeypatch.setattr(limits, "LOOK", 0.05)
    data = (lfw / "face" / "face-000.png").read_bytes()
    parts = [data, *[bytes(35_000)] * 3]
    with connected(client) as slow:
        slow.sendall(head("/predict", sum(map(len, parts)), "Content-Type: image/png", "Connection: close"))
        for part in parts:
            slow.sendall(part)
            time.sleep(0.3)
        assert received(slow).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(("path", "length", "status"), [("/predict", 100_000_000, 413), ("/nothing", 1000, 404)])
def test_a_client_that_asks_before_it_sends(path: str, length: int, status: int, client: httpx.Client) -> None:
    """It is told at once, is not told to go on, and the connection ends: what it sends next is not taken for a body."""
    with connected(client) as connection:
        start = time.monotonic()
        connection.sendall(head(path, length, "Content-Type: image/png", "Expect: 100-continue"))
        answer = received(connection)
    assert refusal(answer)[0] == status
    assert b"100 Continue" not in answer
    assert time.monotonic() - start < 5


def test_a_client_that_goes_while_it_sends(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """That is no failure of the server: no traceback, and 499 in the figures."""
    caplog.set_level(logging.INFO, "facevalue")
    with serving(folder) as client:
        for path, kind in (
            ("/predict", "image/png"),
            ("/predict", "multipart/form-data; boundary=x"),
            ("/v2/models/model/infer", "application/json"),
        ):
            with connected(client) as connection:
                connection.sendall(head(path, 100_000, f"Content-Type: {kind}") + b"--x\r\n")
                time.sleep(0.1)
        until(lambda: caplog.text.count("status=499") == 3)
        text = client.get("/metrics").text
    assert 'facevalue_requests_total{path="/predict",status="499"} 2.0' in text
    assert 'status="500"' not in text
    assert "Traceback" not in caplog.text


def test_a_client_that_does_not_read_its_answer(own_folder: Path, lfw: Path) -> None:
    """Asked again on the connection whose buffer is full, the server would wait for room for ever."""
    (own_folder / REPORT).write_text("a" * 12_000_000)
    with serving(own_folder, write_seconds=0.3) as client, socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(20)
        connection.connect((client.base_url.host, client.base_url.port or 80))
        connection.sendall(2 * b"GET /report HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(1.5)
        assert len(received(connection)) < 12_000_000
        with connected(client) as slow:
            slow.sendall(b"GET /report HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            seen = 0
            while part := slow.recv(500_000):  # slower than the limit altogether, but never still for so long
                seen += len(part)
                time.sleep(0.02)
            assert seen > 12_000_000
        still_alive(client, lfw)


@pytest.mark.parametrize("charset", ["unicode_escape", "raw_unicode_escape", "utf-7", "undefined", "hex"])
def test_names_in_odd_charsets(charset: str, client: httpx.Client, lfw: Path) -> None:
    data = (lfw / "face" / "face-000.png").read_bytes()
    name = {"utf-7": b"+2AA-"}.get(charset, rb"\ud800.png")
    body = b'--x\r\nContent-Disposition: form-data; name="files"; filename="' + name + b'"\r\n\r\n' + data
    headers = {"Content-Type": f"multipart/form-data; boundary=x; charset={charset}"}
    answer = client.post("/predict", content=body + b"\r\n--x--\r\n", headers=headers)
    assert answer.status_code in (200, 400), answer.text
    if answer.status_code == 200:
        assert answer.json()["results"][0]["path"]


def test_a_request_that_gives_up_while_room_becomes_free() -> None:
    async def scene() -> int:
        budget = Budget(10)
        await budget.take(10, 1)
        waiting = asyncio.create_task(budget.take(5, 5))
        await asyncio.sleep(0)
        waiting.cancel()
        budget.give(10)  # before the task knows
        with pytest.raises(asyncio.CancelledError):
            await waiting
        return budget.free

    assert asyncio.run(scene()) == 10


def test_what_nobody_waits_for_is_not_kept(folder: Path) -> None:
    """Bytes of a request that was given up are let go of, even if all threads are busy."""
    model = Loaded("model", folder, open_folder(folder))

    async def scene() -> bool:
        engine = Engine(Figures(), 8, threads=1)
        slow = asyncio.create_task(engine.judge(model, [huge_png(7_000, 7_000)] * 4, Asked(), seconds=30))
        await asyncio.sleep(0.05)
        pixels = np.zeros((32, 32, 3), np.uint8)
        kept = weakref.ref(pixels)
        (refused,) = await asyncio.gather(engine.judge(model, [pixels], Asked(), seconds=0.05), return_exceptions=True)
        assert isinstance(refused, Refusal)
        del pixels, refused
        await asyncio.sleep(0.01)
        gc.collect()  # the exception's traceback
        is_gone = kept() is None and not slow.done()
        await slow
        engine.close()
        return is_gone

    assert asyncio.run(scene())
