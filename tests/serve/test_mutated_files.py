"""Mutated files of every format: each is an answer or a refusal, and the server lives."""

from __future__ import annotations

import os
import random
from pathlib import Path

import httpx

from .test_predict import kinds, post

SEED = 7
ROUNDS = int(os.environ.get("FACEVALUE_FUZZ_ROUNDS", "12"))
"""Mutations of each file; by hand, for ten minutes, FACEVALUE_FUZZ_ROUNDS=6000."""


def mutated(data: bytes, rng: random.Random) -> bytes:
    """Some bytes changed, a part cut out, doubled or filled: mostly near the beginning, where headers are."""
    found = bytearray(data)
    for _ in range(rng.choice((1, 2, 8, 64))):
        at = min(int(rng.expovariate(4 / len(found))), len(found) - 1)
        way = rng.randrange(5)
        if way == 0:
            found[at] = rng.randrange(256)
        elif way == 1:
            found[at] ^= 1 << rng.randrange(8)
        elif way == 2:
            found[at : at + 4] = rng.choice((b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\xff\xff"))
        elif way == 3:
            del found[at : at + rng.randrange(1, 64)]
        else:
            found[at:at] = found[at : at + rng.randrange(1, 64)]
        if not found:
            return b"x"
    return bytes(found)


def test_mutated_files(client: httpx.Client, lfw: Path) -> None:
    rng = random.Random(SEED)
    seeds = kinds(lfw / "face" / "face-000.png")
    read = 0
    for name, data in seeds.items():
        for _ in range(ROUNDS):
            response = post(client, (name, mutated(data, rng)))
            assert response.status_code in (200, 413, 422), (name, response.text)
            assert "Traceback" not in response.text
            read += response.status_code == 200
    assert 0 < read < ROUNDS * len(seeds)
    assert client.get("/v2/health/ready").status_code == 200
