"""Weights from the Hub: the real client, timm's and the Hub's, against a local server that answers as the Hub does."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import facevalue as fv
from facevalue.errors import WeightsError
from facevalue.models.networks import build
from facevalue.models.networks import hub as hub_module
from facevalue.support import progress

FETCH = """
import sys
from safetensors.torch import save_file
from facevalue.models.networks.weights import Wanted, prepare
for _ in range(2):
    body, facts = prepare(Wanted("mobilenetv2_100", 2, 64, weights="hub"))
save_file({n: v.contiguous() for n, v in body.backbone().state_dict().items()}, sys.argv[1])
print(facts.weights, facts.licence)
"""


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[tuple[str, Path, list[str]]]:
    """Address of the server, the file it serves, and the requests it got."""
    torch.manual_seed(5)
    state = build("mobilenetv2_100", 2, 64).backbone().state_dict()
    served = tmp_path / "model.safetensors"
    save_file({**state, "classifier.weight": torch.zeros(1000, 1280), "classifier.bias": torch.zeros(1000)}, served)
    data, asked = served.read_bytes(), []

    class Hub(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def answer(self, *, body: bool) -> None:
            asked.append(f"{self.command} {self.path}")
            if not self.path.endswith("/model.safetensors"):
                self.send_response(404)
                self.send_header("X-Error-Code", "EntryNotFound")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(200)
            self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
            self.send_header("X-Repo-Commit", "0" * 40)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if body:
                self.wfile.write(data)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", served, asked
    server.shutdown()
    thread.join()
    server.server_close()


def fetch(address: str, cache: Path, out: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "HF_ENDPOINT": address, "HF_HOME": str(cache), "HF_HUB_DISABLE_XET": "1"}
    command = [sys.executable, "-c", FETCH, str(out)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=110)


def test_hub_weights_are_fetched_once_and_fill_the_body(hub: tuple[str, Path, list[str]], tmp_path: Path) -> None:
    address, served, asked = hub
    first = fetch(address, tmp_path / "cache", tmp_path / "got.safetensors")
    assert first.returncode == 0, first.stderr
    assert first.stdout.split() == ["hub", "Apache-2.0"]
    got, given = load_file(tmp_path / "got.safetensors"), load_file(served)
    assert all(torch.equal(got[name], given[name]) for name in got)
    downloads = sum(line.startswith("GET") and line.endswith("model.safetensors") for line in asked)
    assert downloads == 1  # the second time it came from the cache
    offline = fetch("http://127.0.0.1:9", tmp_path / "cache", tmp_path / "again.safetensors")
    assert offline.returncode == 0, offline.stderr
    again = load_file(tmp_path / "again.safetensors")
    assert all(torch.equal(again[name], given[name]) for name in again)


@pytest.fixture
def silent() -> Iterator[str]:
    """Address of a server that accepts connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_without_the_hub_it_fails_within_seconds_and_with_a_whole_sentence(tmp_path: Path) -> None:
    start = time.monotonic()
    done = fetch("http://127.0.0.1:9", tmp_path / "cache", tmp_path / "none.safetensors")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].partition(": ")[2] == (
        "the weights of mobilenetv2_100 could not be fetched: http://127.0.0.1:9 cannot be reached: Connection "
        "refused. Give a local file as `weights`, or train without any: none"
    )
    assert time.monotonic() - start < 30  # the client alone takes a minute; starting torch takes most of this


def test_a_training_learns_it_before_any_image_is_read(
    lfw: Path, silent: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", silent)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(hub_module, "PATIENCE", 0.2)
    seen: list[str] = []

    class Names(progress.Silent):
        def start(self, what: str, total: int | None, unit: str) -> int:
            seen.append(what)
            return 0

    with progress.using(Names()), pytest.raises(WeightsError, match=r"cannot be reached: no answer within 0\.2 s"):
        fv.train(lfw, tmp_path / "model")
    assert seen == []
    assert not (tmp_path / "model").exists()
