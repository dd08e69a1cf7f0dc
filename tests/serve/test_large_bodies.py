"""Bodies of 100 MB: taken in, as many clients send all before they read the answer, refused, and never kept."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from .test_limits import still_alive

MB = 1_000_000


def highest() -> int:
    """Most MB that this process, which the server is part of, ever held."""
    return int(re.findall(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[0]) // 1024


def pieces() -> Iterator[bytes]:
    for _ in range(100):
        yield bytes(MB)


@pytest.mark.parametrize("path", ["/predict", "/explain", "/v2/models/model/infer"])
@pytest.mark.parametrize("stated", [True, False])
def test_a_hundred_megabytes(path: str, stated: bool, client: httpx.Client, lfw: Path) -> None:
    """With and without a stated length, no more than the limit of 20 MB and some buffers is held."""
    still_alive(client, lfw)
    before = highest()
    headers = {"Content-Type": "image/png"} | ({"Content-Length": str(100 * MB)} if stated else {})
    answer = client.post(path, content=pieces(), headers=headers)
    assert answer.status_code == 413
    assert answer.json()["error"] == "the request is larger than the 20,000,000 bytes allowed"
    assert highest() < before + 60
    still_alive(client, lfw)
