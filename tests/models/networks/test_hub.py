"""Weights from the Hub: the real client, timm's and the Hub's, against a local server that answers as the Hub does."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from facevalue.models.networks import build

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
