"""Publish and download a model: the Hub's own client against a local server that answers as the Hub does."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import pandas as pd
import pytest

from facevalue.api.common.published import nameless
from facevalue.errors import UsageError
from facevalue.evidence.card import CANARIES, ModelCard
from facevalue.models.classifier import Classifier
from facevalue.runtime import open_folder
from facevalue.runtime.hub import hub_model

from .. import commands

COMMIT = "c" * 40


@dataclass
class Hub:
    """The address, the files of each repository, and the requests it got."""

    address: str
    repositories: dict[str, dict[str, bytes]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def run(self, cache: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "HF_ENDPOINT": self.address,
            "HF_HOME": str(cache),
            "HF_TOKEN": "hf_x",
            "HF_HUB_DISABLE_XET": "1",
        }
        command = [*commands.facevalue(), *map(str, arguments)]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=110)


@pytest.fixture
def hub() -> Iterator[Hub]:
    found = Hub("")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") == "chunked":
                parts = []
                while size := int(self.rfile.readline(), 16):
                    parts.append(self.rfile.read(size))
                    self.rfile.readline()
                self.rfile.readline()
                return b"".join(parts)
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))

        def answer(self, value: Any, status: int = 200, **headers: str) -> None:
            data = value if isinstance(value, bytes) else json.dumps(value).encode()
            self.send_response(status)
            for name, text in {"Content-Length": str(len(data)), **headers}.items():
                self.send_header(name.replace("_", "-"), text)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        def do_POST(self) -> None:
            path, data = urlparse(self.path).path, self.body()
            found.asked.append(f"POST {path}")
            if path == "/api/repos/create":
                asked = json.loads(data)
                name = f"{asked['organization']}/{asked['name']}" if asked.get("organization") else asked["name"]
                found.repositories.setdefault(name, {})
                self.answer({"url": f"{found.address}/{name}", "name": name})
            elif path == "/api/validate-yaml":
                self.answer({"errors": [], "warnings": []})
            elif "/preupload/" in path:
                files = json.loads(data)["files"]
                self.answer(
                    {"files": [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in files]}
                )
            elif "/commit/" in path:
                name = path.removeprefix("/api/models/").partition("/commit/")[0]
                for line in map(json.loads, data.splitlines()):
                    if line["key"] == "file":
                        content = base64.b64decode(line["value"]["content"])
                        found.repositories[name][line["value"]["path"]] = content
                self.answer({"commitUrl": f"{found.address}/{name}/commit/{COMMIT}", "commitOid": COMMIT})

        def do_GET(self) -> None:
            path = unquote(urlparse(self.path).path)
            found.asked.append(f"{self.command} {path}")
            api = path.startswith("/api/models/")
            name = "/".join(path.removeprefix("/api/models").split("/")[1:3])
            files = found.repositories.get(name)
            if files is None:
                self.answer({}, 404, X_Error_Code="RepoNotFound")
            elif api and "/tree/" in path:
                self.answer([{"type": "file", "path": p, "size": len(d), "oid": "0" * 40} for p, d in files.items()])
            elif api:
                self.answer({"id": name, "sha": COMMIT, "siblings": [{"rfilename": p} for p in files]})
            else:
                data = files.get(path.partition("/resolve/")[2].partition("/")[2])
                if data is None:
                    self.answer({}, 404, X_Error_Code="EntryNotFound", X_Repo_Commit=COMMIT)
                else:
                    etag = f'"{hashlib.sha256(data).hexdigest()}"'
                    self.answer(data, ETag=etag, X_Repo_Commit=COMMIT)

        do_HEAD = do_GET  # noqa: N815 - http.server's name

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    found.address = f"http://127.0.0.1:{server.server_port}"
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def folder(made: Classifier, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made.save(tmp_path_factory.mktemp("hub") / "model")


def test_what_is_pushed_can_be_pulled_and_answers_the_same(hub: Hub, folder: Path, lfw: Path, tmp_path: Path) -> None:
    pushed = hub.run(tmp_path / "one", "push", folder, "anna/faces", "--json", tmp_path / "pushed.json")
    assert pushed.returncode == 0, pushed.stderr
    told = json.loads((tmp_path / "pushed.json").read_text())
    assert told["commit"] == COMMIT
    assert "holds timm's own networks" in told["foreign"]  # a small network of facevalue's
    published = hub.repositories["anna/faces"]
    own_files = set(ModelCard.load(folder).files) - {CANARIES}  # which may be copies of the user's images
    assert set(published) == {*own_files, "card.json", "README.md", "report.html"}
    # Neither the card nor the report tells where the images lie on this machine.
    assert str(lfw.parent).encode() not in published["card.json"] + published["report.html"]
    assert b"library_name: facevalue" in published["README.md"]
    # The manifest has no names of files and folders.
    (tmp_path / "m.parquet").write_bytes(published["manifest.parquet"])
    own, seen = pd.read_parquet(folder / "manifest.parquet"), pd.read_parquet(tmp_path / "m.parquet")
    assert list(seen["sha256"]) == list(own["sha256"])
    assert list(seen["split"]) == list(own["split"])
    assert not set(seen["path"]) & set(own["path"])
    assert "face-0" not in seen.drop(columns=["label"]).to_csv()

    pulled = hub.run(tmp_path / "two", "pull", "hub:anna/faces", "-o", tmp_path / "pulled")
    assert pulled.returncode == 0, pulled.stderr
    assert not (tmp_path / "pulled" / ".cache").exists()
    image = lfw / "face" / "face-003.png"
    [expected], [got] = open_folder(folder).predict(image), open_folder(tmp_path / "pulled").predict(image)
    assert got == expected

    # Without a folder: from the Hub into the cache, once.
    for _ in range(2):
        done = hub.run(tmp_path / "two", "predict", "hub:anna/faces", image, "--json", tmp_path / "p.json")
        assert done.returncode == 0, done.stderr
        [row] = json.loads((tmp_path / "p.json").read_text())
        assert row["probabilities"] == pytest.approx(dict(expected.probabilities))
    assert hub.asked.count("GET /anna/faces/resolve/" + COMMIT + "/model.onnx") == 2  # pull, and the first predict


def test_groups_stay_groups_and_own_columns_stay_here() -> None:
    table = pd.DataFrame(
        {"path": ["a", "b", "c"], "key": ["a", "b", "c"], "label": "x", "group": ["Ann", "Bob", "Ann"], "gender": "f"}
    )
    published = nameless(table)
    assert list(published["group"]) == ["group-000000", "group-000001", "group-000000"]
    assert "gender" not in published.columns
    assert list(table["path"]) == ["a", "b", "c"]


def changed(files: dict[str, bytes]) -> None:
    files["model.onnx"] = files["model.onnx"][:-1] + b"!"


def missing(files: dict[str, bytes]) -> None:
    del files["weights.safetensors"]


def outside(files: dict[str, bytes]) -> None:
    card = json.loads(files["card.json"])
    card["files"]["../stolen"] = "0" * 64
    files["card.json"] = json.dumps(card).encode()


def no_card(files: dict[str, bytes]) -> None:
    del files["card.json"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (changed, "model.onnx was changed or damaged"),
        (missing, "weights.safetensors is missing"),
        (outside, "names a file outside of its folder"),
        (no_card, "anna/faces is not a model of facevalue: it has no card.json"),
    ],
)
def test_what_is_not_on_the_card_is_refused(
    damage: Callable[[dict[str, bytes]], None], said: str, hub: Hub, folder: Path, tmp_path: Path
) -> None:
    names = [*ModelCard.load(folder).files, "card.json"]
    hub.repositories["anna/faces"] = {name: (folder / name).read_bytes() for name in names}
    damage(hub.repositories["anna/faces"])
    done = hub.run(tmp_path / "cache", "pull", "anna/faces", "-o", tmp_path / "pulled")
    assert said in done.stderr
    assert done.stderr.count("error:") == 1
    assert done.returncode == 2
    assert {p.name for p in tmp_path.iterdir()} <= {"cache"}


@pytest.mark.slow
def test_a_model_that_is_not_there(hub: Hub, tmp_path: Path) -> None:
    done = hub.run(tmp_path / "cache", "pull", "hub:anna/none", "-o", tmp_path / "pulled")
    assert "the Hub has no model anna/none" in done.stderr
    assert done.returncode == 1


@pytest.mark.slow
def test_a_hub_that_cannot_be_reached(tmp_path: Path) -> None:
    done = Hub("http://127.0.0.1:9").run(tmp_path / "cache", "pull", "hub:anna/none", "-o", tmp_path / "pulled")
    assert "error: the Hub did not do it for anna/none" in done.stderr
    assert done.returncode == 1


@pytest.mark.parametrize("name", ["faces", "a/b/c", "../b", "a/b@", "a b/c", ""])
def test_names_that_the_hub_does_not_have(name: str) -> None:
    with pytest.raises(UsageError, match="user/name"):
        hub_model(name)
