"""Bodies of 100 MB: refused before or while they come, without being kept."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from .conftest import serving
from .test_limits import connected, received, refusal, still_alive

MB = 1_000_000


def highest() -> int:
    """Most MB that this process, which the server is part of, ever held."""
    return int(re.findall(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[0]) // 1024


@pytest.mark.parametrize("path", ["/predict", "/explain", "/v2/models/model/infer"])
def test_with_a_stated_length(path: str, client: httpx.Client, lfw: Path) -> None:
    """Refused by its head alone."""
    with connected(client) as connection:
        head = f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\nContent-Length: {100 * MB}\r\n\r\n"
        connection.sendall(head.encode())
        connection.shutdown(socket.SHUT_WR)
        status, reason = refusal(received(connection))
    assert status == 413
    assert "20,000,000" in reason or "20 MB" in reason
    still_alive(client, lfw)


def test_in_pieces(folder: Path, lfw: Path) -> None:
    """Without a length, a client that goes on sending is cut off, and no more than the limit was held."""
    sent = 0

    def pieces() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(100):
            sent += MB
            yield bytes(MB)

    with serving(folder) as client:
        still_alive(client, lfw)
        before = highest()
        with suppress(httpx.TransportError):  # the server may close while the client still sends
            answer = client.post("/predict", content=pieces(), headers={"Content-Type": "image/png"})
            assert answer.status_code == 413
            assert answer.json()["error"]
        assert highest() < before + 70
        still_alive(client, lfw)
    assert 20 * MB <= sent <= 100 * MB
