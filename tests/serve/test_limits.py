"""Clients that are slow, many or large: each is refused in JSON or cut off, and the server goes on."""

from __future__ import annotations

import asyncio
import json
import socket
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import httpx
import numpy as np
import pytest

from facevalue.runtime import open_folder
from facevalue.serve import sockets
from facevalue.serve.engine import Asked, Engine, Judged
from facevalue.serve.figures import Figures
from facevalue.serve.limits import Budget
from facevalue.serve.served_model import Loaded

from .conftest import serving, until
from .test_predict import huge_png, post


@contextmanager
def connected(client: httpx.Client) -> Iterator[socket.socket]:
    url = client.base_url
    with closing(socket.create_connection((url.host, url.port or 80), timeout=20)) as connection:
        yield connection


def received(connection: socket.socket) -> bytes:
    """All that comes until the server closes."""
    parts = []
    while True:
        try:
            part = connection.recv(65536)
        except ConnectionResetError:
            break
        if not part:
            break
        parts.append(part)
    return b"".join(parts)


def refusal(answer: bytes) -> tuple[int, str]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"application/json" in head
    return int(head.split()[1]), json.loads(body)["error"]


def still_alive(client: httpx.Client, lfw: Path) -> None:
    data = (lfw / "face" / "face-000.png").read_bytes()
    assert post(client, ("a.png", data)).status_code == 200


def test_small_answers_are_sent_at_once(folder: Path, lfw: Path) -> None:
    """A keep-alive client does not wait for a delayed acknowledgement (40 ms a request without TCP_NODELAY)."""
    with sockets.listen("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP  # what asyncio looks at
    data = (lfw / "face" / "face-000.png").read_bytes()
    predictor = open_folder(folder)

    def median(ask: object) -> float:
        times = []
        for _ in range(40):
            start = time.perf_counter()
            ask()  # type: ignore[operator]
            times.append(time.perf_counter() - start)
        return statistics.median(times)

    with serving(folder) as client:
        over_http = median(lambda: client.post("/predict", content=data, headers={"Content-Type": "image/png"}))
    in_process = median(lambda: predictor.predict_bytes(data))
    assert over_http < in_process + 0.030, (over_http, in_process)


def test_stalled_heads_are_closed(folder: Path, lfw: Path) -> None:
    with serving(folder, head_seconds=0.5) as client:
        with connected(client) as silent, connected(client) as dripping, connected(client) as again:
            dripping.sendall(b"POST /predict HTTP/1.1\r\nHost: a\r\n")
            again.sendall(b"GET /v2/health/live HTTP/1.1\r\nHost: a\r\n\r\n")
            assert b"200" in again.recv(65536)
            again.sendall(b"GET /v2/hea")  # the second request of a connection stalls as well
            start = time.monotonic()
            for i in range(4):
                time.sleep(0.1)
                dripping.sendall(f"X-{i}: 1\r\n".encode())
            assert received(silent) == b""
            assert refusal(received(dripping)) == (408, "the headers took over 0.5 s")
            assert refusal(received(again))[0] == 408
            assert time.monotonic() - start < 5
        still_alive(client, lfw)


def test_many_stalled_connections_leave_nothing(folder: Path, lfw: Path) -> None:
    with serving(folder, head_seconds=0.5) as client:
        stalled = [socket.create_connection((client.base_url.host, client.base_url.port or 80)) for _ in range(200)]
        for one in stalled:
            one.sendall(b"GET / HTTP/1.1\r\n")
        still_alive(client, lfw)
        for one in stalled:
            one.settimeout(10)
            assert refusal(received(one))[0] == 408
            one.close()


def test_a_body_that_stalls(folder: Path, lfw: Path) -> None:
    with serving(folder, body_seconds=0.5) as client:
        with connected(client) as connection:
            connection.sendall(
                b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\nContent-Length: 1000\r\n\r\nabc"
            )
            assert refusal(received(connection)) == (408, "the request's body took more than 0.5 s")
        still_alive(client, lfw)


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: 1\r\n" % i for i in range(5000)) + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 200_000 + b"\r\n\r\n", 431),
        (b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200), 400),
        (b"GET / HTTP/9.9\r\n\r\n", 400),
        (b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n", 400),
        (b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", 400),
    ],
)
def test_heads_that_are_none_or_too_large(head: bytes, status: int, client: httpx.Client, lfw: Path) -> None:
    with connected(client) as connection:
        with suppress(OSError):  # it may be refused before all is sent
            connection.sendall(head)
        assert refusal(received(connection))[0] == status
    still_alive(client, lfw)


def test_an_endless_head(client: httpx.Client) -> None:
    with connected(client) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n")
        with pytest.raises(OSError):  # noqa: PT011 - a reset or a broken pipe, as the kernel finds it
            for _ in range(10_000):
                connection.sendall(b"X: " + b"a" * 1000)
                time.sleep(0.0001)


def test_too_many_connections(folder: Path) -> None:
    with serving(folder, max_connections=5) as client:
        assert client.get("/v2/health/live").status_code == 200
        held = [socket.create_connection((client.base_url.host, client.base_url.port or 80)) for _ in range(4)]
        with connected(client) as sixth:
            answer = received(sixth)
            assert refusal(answer) == (503, "too many connections")
            assert b"retry-after: 1" in answer
        for one in held:
            one.close()
        until(lambda: httpx.get(client.base_url.join("/v2/health/live")).status_code == 200)


def test_an_unread_body_does_not_hold_the_connection(folder: Path) -> None:
    """After a refusal that came early, a client that goes on sending is cut off."""
    with serving(folder, head_seconds=0.5) as client, connected(client) as connection:
        connection.sendall(b"POST /nothing HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n")
        assert b"404" in connection.recv(65536)
        start = time.monotonic()
        with pytest.raises(OSError):  # noqa: PT011
            while time.monotonic() - start < 10:
                connection.sendall(b"a")
                time.sleep(0.05)
        assert time.monotonic() - start < 5


def test_bodies_wait_for_memory(folder: Path, lfw: Path) -> None:
    """Two bodies of which one fits: the second is read when the first is answered, or refused when that takes long."""
    good = (lfw / "face" / "face-000.png").read_bytes()
    with serving(folder, max_body_bytes=100_000, max_memory_bytes=100_000, request_seconds=1.0) as client:
        with connected(client) as first:
            first.sendall(
                b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\nContent-Length: 90000\r\n\r\n"
                + bytes(70_000)
            )
            time.sleep(0.1)
            response = post(client, ("a.png", good + bytes(80_000)))
            assert response.status_code == 503
            assert response.headers["Retry-After"] == "1"
            assert "busy" in response.json()["error"]
            still_alive(client, lfw)  # small bodies do not wait
        until(lambda: post(client, ("a.png", good + bytes(80_000))).status_code == 200)
        assert 'facevalue_refused_total{reason="memory"}' in client.get("/metrics").text


def test_the_memory_budget_serves_requests_in_order() -> None:
    async def scene() -> list[str]:
        budget, order = Budget(10), []
        await budget.take(8, 1)

        async def want(name: str, n: int, seconds: float = 5) -> None:
            try:
                await budget.take(n, seconds)
                order.append(name)
            except TimeoutError:
                order.append(f"{name} gave up")

        tasks = [asyncio.create_task(want("large", 9)), asyncio.create_task(want("hasty", 1, 0.05))]
        await asyncio.sleep(0.01)
        tasks.append(asyncio.create_task(want("small", 1)))  # would fit, but is not first
        await asyncio.sleep(0.1)
        cancelled = asyncio.create_task(want("cancelled", 5))
        await asyncio.sleep(0)
        cancelled.cancel()
        budget.give(8)
        await asyncio.gather(*tasks, return_exceptions=True)
        assert budget.free == 0
        budget.give(10)
        assert budget.free == budget.most
        return order

    assert asyncio.run(scene()) == ["hasty gave up", "large", "small"]


def test_a_full_queue_and_a_late_answer(folder: Path, lfw: Path) -> None:
    slow = huge_png(7_000, 7_000)  # some hundred kB that take about a second
    good = (lfw / "face" / "face-000.png").read_bytes()
    with serving(folder, max_files=2, max_queue=2, request_seconds=20) as client:
        results: list[int] = []

        def ask() -> None:
            with httpx.Client(base_url=client.base_url, timeout=60) as own:
                results.append(post(own, ("a.png", slow), ("b.png", slow)).status_code)

        thread = threading.Thread(target=ask)
        thread.start()
        until(lambda: "facevalue_pending_images 2.0" in client.get("/metrics").text)
        response = post(client, ("a.png", good))
        assert response.status_code == 503
        assert response.headers["Retry-After"] == "1"
        assert response.json()["error"] == "2 images are waiting already; try again"
        thread.join()
        assert results == [200]
        still_alive(client, lfw)
    with serving(folder, request_seconds=0.1) as client:
        response = post(client, ("a.png", slow))
        assert response.status_code == 503
        assert response.json()["error"] == "the answer took more than 0.1 s; try again"
        until(lambda: "facevalue_pending_images 0.0" in client.get("/metrics").text)
        text = client.get("/metrics").text
    assert 'facevalue_refused_total{reason="time"} 1.0' in text


def test_requests_of_clients_that_left_are_dropped(folder: Path, lfw: Path) -> None:
    slow = huge_png(7_000, 7_000)
    with serving(folder, request_seconds=60) as client:
        body = b"".join(
            b'--x\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n' + slow + b"\r\n"
            for _ in range(16)
        )
        with connected(client) as connection:
            connection.sendall(
                b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=x\r\n"
                b"Content-Length: %d\r\n\r\n" % (len(body) + 5) + body + b"--x--"
            )
            until(lambda: "facevalue_pending_images 16.0" in client.get("/metrics").text)
        start = time.monotonic()
        until(lambda: "facevalue_pending_images 0.0" in client.get("/metrics").text)
        assert time.monotonic() - start < 2  # 16 images take several times as long
        still_alive(client, lfw)

        def dropped() -> float:
            (line,) = [
                one for one in client.get("/metrics").text.splitlines() if one.startswith("facevalue_dropped_total")
            ]
            return float(line.split()[-1])

        until(lambda: dropped() >= 10)
        assert 'path="/predict",status="499"' in client.get("/metrics").text


def test_every_client_gets_its_own_answers(folder: Path, lfw: Path) -> None:
    """Many clients at once, with one image each."""
    paths = sorted(lfw.rglob("*.png"))[80:120]
    expected = dict(zip(paths, open_folder(folder).predict(paths), strict=True))
    wrong: list[Path] = []
    with serving(folder) as client:
        start = threading.Barrier(len(paths))

        def ask(path: Path) -> None:
            with httpx.Client(base_url=client.base_url, timeout=60) as own:
                start.wait()
                for _ in range(5):
                    (row,) = post(own, (path.name, path.read_bytes())).json()["results"]
                    if row["probabilities"] != pytest.approx(expected[path].probabilities, abs=1e-5):
                        wrong.append(path)

        threads = [threading.Thread(target=ask, args=(path,)) for path in paths]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        text = client.get("/metrics").text
    assert wrong == []
    assert f"facevalue_batch_images_sum {5.0 * len(paths)}" in text


def test_requests_share_batches(folder: Path) -> None:
    """Network inputs of many requests come at once: fewer runs of the network than images, each with its own answer."""
    predictor = open_folder(folder)
    size = predictor.card.preprocessing.size
    images = list(np.random.default_rng(0).integers(0, 256, (40, size, size, 3), np.uint8))
    expected, _ = predictor.predict_pixels(np.stack(images))
    figures = Figures()

    async def scene() -> list[list[tuple[Judged, ...]]]:
        engine = Engine(figures, len(images), threads=1)
        model = Loaded("model", folder, predictor)
        found = await asyncio.gather(*(engine.judge(model, [one], Asked(), seconds=30) for one in images))
        engine.close()
        return found

    for ((judged,),), prediction in zip(asyncio.run(scene()), expected, strict=True):
        assert judged.prediction.probabilities == pytest.approx(prediction.probabilities, abs=1e-5)
    text = figures.text([], 0).decode()
    shown = dict(line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("facevalue_batch_images_"))
    assert float(shown["facevalue_batch_images_sum"]) == len(images)
    assert float(shown["facevalue_batch_images_count"]) < 0.8 * len(images)


def test_five_hundred_at_once(folder: Path, lfw: Path) -> None:
    """Each gets its answer or a 503, and afterwards all is as it was."""
    data = (lfw / "face" / "face-000.png").read_bytes()

    async def ask_all(url: httpx.URL) -> list[int]:
        limits = httpx.Limits(max_connections=500)
        async with httpx.AsyncClient(base_url=url, timeout=60, limits=limits) as own:
            answers = await asyncio.gather(
                *(own.post("/predict", content=data, headers={"Content-Type": "image/png"}) for _ in range(500))
            )
        assert all(answer.status_code == 200 or answer.json()["error"] for answer in answers)
        return [answer.status_code for answer in answers]

    with serving(folder, max_queue=64) as client:
        statuses = asyncio.run(ask_all(client.base_url))
        assert set(statuses) <= {200, 503}
        assert statuses.count(200) >= 64
        assert "facevalue_pending_images 0.0" in client.get("/metrics").text
        still_alive(client, lfw)
