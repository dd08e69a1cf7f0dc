"""A Kaggle data set, from a real server that implements what kagglehub's client uses."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from PIL import Image

from facevalue.data.fetch.download import Patience
from facevalue.data.fetch.known_sets import RECEIPT, Fetched, fetch
from facevalue.data.known import KNOWN
from facevalue.errors import DataError, FaceValueError, UsageError

from .. import commands

QUICK = Patience(tries=3, wait=0.01, timeout=5)
FACES = KNOWN["real-or-ai-faces"]
OWNER, NAME = "xhlulu", "140k-real-and-fake-faces"
PAGE = f"https://www.kaggle.com/datasets/{OWNER}/{NAME}"
TOKEN, USER, KEY = "KGAT_2fb1", "ann", "c0ffee"
API, STORAGE = "http://localhost/api/v1/datasets.DatasetApiService", "http://storage.example"


def packed(names: list[str]) -> bytes:
    stream, image = io.BytesIO(), io.BytesIO()
    Image.effect_noise((64, 64), 90).save(image, "PNG")
    with zipfile.ZipFile(stream, "w") as bundle:
        for name in names:
            bundle.writestr(name, image.getvalue())
    return stream.getvalue()


BUNDLE = packed([f"real_vs_fake/real-vs-fake/{s}/{c}/0.png" for s in ("train", "test") for c in ("real", "fake")])


@dataclass
class Kaggle:
    """What it has, and how it misbehaves."""

    bundle: bytes = BUNDLE
    md5: str = ""  # of another file
    status: list[int] = field(default_factory=list)  # of the next answers of the API
    cut_after: list[int] = field(default_factory=list)  # bytes of the next answers of the storage, each then cut
    silent: float = 0.0  # seconds before the API answers
    redirects: bool = True
    asked: list[str] = field(default_factory=list)  # of the API
    stored: list[tuple[str, str]] = field(default_factory=list)  # signature and range of what was asked of the storage
    address: str = ""


@pytest.fixture
def kaggle(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Kaggle]:
    """API and storage, on their own hosts behind a proxy over real sockets, for a user without credentials."""
    here = Kaggle()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            here.asked.append(self.path)
            time.sleep(here.silent)
            basic = base64.b64encode(f"{USER}:{KEY}".encode()).decode()
            if here.status:
                self.answer(here.status.pop(0), {"code": 0, "message": "busy"})
            elif self.headers.get("Authorization") not in (f"Bearer {TOKEN}", f"Basic {basic}"):
                self.answer(401, {"code": 401, "message": "Unauthenticated"})
            elif (asked["ownerSlug"], asked["datasetSlug"]) != (OWNER, NAME):
                self.answer(404, {"code": 404, "message": "Not found"})
            elif self.path == f"{API}/GetDataset":
                self.answer(200, {"currentVersionNumber": 2, "ref": f"{OWNER}/{NAME}"})
            elif self.path == f"{API}/DownloadDataset" and asked["datasetVersionNumber"] == 2:
                signature = len(here.asked)  # another one each time
                if here.redirects:
                    self.answer(302, {}, Location=f"{STORAGE}/bundle.zip?signature={signature}")
                else:
                    self.answer(200, {})
            else:
                self.answer(400, {"code": 400, "message": "Bad request"})

        def answer(self, status: int, body: dict[str, Any], **headers: str) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.send_header("X-Kaggle-HubVersion", "99.0.0")  # at which kagglehub prints a warning
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def do_GET(self) -> None:
            assert self.path.startswith(f"{STORAGE}/bundle.zip")
            (signature,) = parse_qs(urlsplit(self.path).query)["signature"]
            wanted = self.headers.get("Range", "")
            here.stored.append((signature, wanted))
            if "Authorization" in self.headers:  # the storage must not get the credentials
                self.send_error(400)
                return
            data = here.bundle
            md5 = here.md5 or base64.b64encode(hashlib.md5(data).digest()).decode()
            found = re.fullmatch(r"bytes=(\d+)-", wanted)
            begin = int(found[1]) if found else 0
            self.send_response(206 if found else 200)
            if found:
                self.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
            self.send_header("Content-Type", "application/zip")
            self.send_header("Content-Length", str(len(data) - begin))
            self.send_header("ETag", f'"{hashlib.md5(data).hexdigest()}"')
            self.send_header("X-Goog-Hash", f"crc32c=AAAAAA==,md5={md5}")
            self.end_headers()
            # kagglehub reads only the headers of its answer.
            if self.headers["User-Agent"] == "facevalue" and here.cut_after:
                self.wfile.write(data[begin:][: here.cut_after.pop(0)])
                self.wfile.flush()
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True
                return
            self.wfile.write(data[begin:])

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            pass  # the client has gone, as the test intends

    for name in os.environ:
        if name.lower().endswith("_proxy") or name.startswith("KAGGLE"):
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    with Server(("127.0.0.1", 0), Handler) as server:
        here.address = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setenv("http_proxy", here.address)
        monkeypatch.setenv("HOME", str(home))
        monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(home / ".kaggle"))
        monkeypatch.setenv("KAGGLE_API_ENVIRONMENT", "LOCALHOST")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield here
        server.shutdown()
        thread.join()


@pytest.fixture
def known_user(kaggle: Kaggle, monkeypatch: pytest.MonkeyPatch) -> Kaggle:
    monkeypatch.setenv("KAGGLE_API_TOKEN", TOKEN)
    # It searches the stack for the libraries that called it, which takes seconds in a process with many modules.
    monkeypatch.setattr("kagglehub.clients.search_lib_in_call_stack", lambda name: None)
    return kaggle


def get(folder: Path, mirror: str = "") -> Fetched:
    return fetch(FACES, folder, mirror, patience=QUICK)


def tree(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


WHOLE = {RECEIPT, *(f"{s}/{c}/0.png" for s in ("train", "test") for c in ("real", "fake"))}


@pytest.mark.parametrize("kept", ["token", "token file", "user and key", "kaggle.json"])
def test_every_way_to_log_in(kaggle: Kaggle, kept: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "home/.kaggle").mkdir()
    if kept == "token":
        monkeypatch.setenv("KAGGLE_API_TOKEN", TOKEN)
    elif kept == "token file":
        (tmp_path / "home/.kaggle/access_token").write_text(TOKEN + "\n")
    elif kept == "user and key":
        monkeypatch.setenv("KAGGLE_USERNAME", USER)
        monkeypatch.setenv("KAGGLE_KEY", KEY)
    else:
        (tmp_path / "home/.kaggle/kaggle.json").write_text(json.dumps({"username": USER, "key": KEY}))
    done = get(tmp_path / "set")
    assert tree(tmp_path / "set") == WHOLE
    assert kaggle.asked == [f"{API}/GetDataset", f"{API}/DownloadDataset"]
    (archive,) = done.receipt["archives"]
    assert archive["from"] == f"{PAGE}/versions/2"
    assert archive["sha256"] == hashlib.sha256(BUNDLE).hexdigest()
    told = (tmp_path / "set" / RECEIPT).read_text()
    assert not any(secret in told for secret in ("signature", TOKEN, KEY))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["home", "set"]
    assert get(tmp_path / "set").was_there
    assert len(kaggle.asked) == 2


def test_without_credentials_nothing_is_asked(kaggle: Kaggle, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as told:
        get(tmp_path / "set")
    for way in ("kaggle.com/settings/api", "KAGGLE_API_TOKEN", "kaggle.json", f"{NAME}.zip", PAGE, "`source`"):
        assert way in str(told.value)
    assert "\n" not in str(told.value)
    assert kaggle.asked == kaggle.stored == []
    assert not (tmp_path / "set").exists()


def test_without_the_package(known_user: Kaggle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    with pytest.raises(UsageError, match=r"pip install 'facevalue\[kaggle\]', and log in.* as `source`"):
        get(tmp_path / "set")
    assert known_user.asked == []


def test_credentials_that_are_wrong_or_broken(kaggle: Kaggle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "home/.kaggle").mkdir()
    (tmp_path / "home/.kaggle/kaggle.json").write_text("{")
    with pytest.raises(UsageError, match=r"credentials cannot be read: Invalid Kaggle credentials file.*; log in"):
        get(tmp_path / "set")
    monkeypatch.setenv("KAGGLE_API_TOKEN", "stale")
    with pytest.raises(
        FaceValueError, match=r"refused these credentials .*\(it answered 401\); log in.*`source`"
    ) as told:
        get(tmp_path / "set")
    assert "stale" not in str(told.value)
    assert len(kaggle.asked) == 1
    monkeypatch.setenv("KAGGLE_API_TOKEN", "two\nlines")
    with pytest.raises(FaceValueError, match="is not valid") as told:
        get(tmp_path / "set")
    assert "lines" not in str(told.value)
    assert not (tmp_path / "set").exists()


def test_cut_in_the_middle_it_goes_on(known_user: Kaggle, tmp_path: Path) -> None:
    known_user.cut_after = [5_000, 3_000]
    get(tmp_path / "set")
    assert known_user.stored == [("2", ""), ("2", ""), ("2", "bytes=5000-"), ("2", "bytes=8000-")]
    assert tree(tmp_path / "set") == WHOLE


def test_a_later_run_goes_on_at_an_address_signed_anew(known_user: Kaggle, tmp_path: Path) -> None:
    known_user.cut_after = [5_000, 0, 0, 0]
    with pytest.raises(FaceValueError, match=f"^{PAGE}/versions/2 cannot be downloaded.* resume after 5,000 bytes"):
        get(tmp_path / "set")
    assert not (tmp_path / "set").exists()
    assert "signature" not in (tmp_path / f"set.download/{NAME}.zip.part.json").read_text()
    known_user.cut_after.clear()
    known_user.stored.clear()
    get(tmp_path / "set")
    assert known_user.stored == [("4", ""), ("4", "bytes=5000-")]
    assert tree(tmp_path / "set") == WHOLE


def test_what_kaggle_says_of_the_archive_is_checked(known_user: Kaggle, tmp_path: Path) -> None:
    known_user.md5 = base64.b64encode(bytes(16)).decode()
    with pytest.raises(
        FaceValueError, match=r"expected md5 AAAAAAAAAAAAAAAAAAAAAA==, but got .*; the file was removed"
    ):
        get(tmp_path / "set")
    assert tree(tmp_path) == set()


def test_its_archive_is_unpacked_as_carefully_as_any(known_user: Kaggle, tmp_path: Path) -> None:
    known_user.bundle = packed(["real_vs_fake/real-vs-fake/train/real/0.png", "../evil.png"])
    with pytest.raises(DataError, match=r"was refused: '\.\./evil\.png' leads out"):
        get(tmp_path / "set")
    known_user.bundle = BUNDLE
    small = replace(FACES, archives=(replace(FACES.archives[0], unpacked=1_000),))
    with pytest.raises(DataError, match="more than the 1,000 bytes allowed"):
        fetch(small, tmp_path / "other", patience=QUICK)
    assert not [p for p in tmp_path.rglob("*") if p.suffix == ".png"]


def test_temporary_failures_are_retried_and_lasting_ones_reported(
    known_user: Kaggle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known_user.status = [503, 429]
    get(tmp_path / "set")
    for status, told in (
        ([503, 503, 503], "cannot be requested from Kaggle: it answered 503; try later"),
        ([404], f"refused the request for {OWNER}/{NAME}: it answered 404"),
        ([403], f"it answered 403.* terms of use, accept them at {PAGE}"),
    ):
        known_user.status = status
        with pytest.raises(FaceValueError, match=told):
            get(tmp_path / "other")
    known_user.redirects = False
    with pytest.raises(FaceValueError, match="gave no download address"):
        get(tmp_path / "other")
    known_user.silent = 0.5
    with pytest.raises(FaceValueError, match="the connection timed out"):
        fetch(FACES, tmp_path / "other", patience=Patience(tries=2, wait=0.01, timeout=0.1))
    with socket.socket() as taken:  # bound, but not listening
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(FaceValueError, match="cannot be reached"):
            get(tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_mirror_needs_neither_package_nor_credentials(
    kaggle: Kaggle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    (tmp_path / f"{NAME}.zip").write_bytes(BUNDLE)
    get(tmp_path / "set", str(tmp_path))
    assert tree(tmp_path / "set") == WHOLE
    assert kaggle.asked == []


def shell(out: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [*commands.facevalue(), "data", "get", "real-or-ai-faces", "-o", str(out), "--json", "-"]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env={**os.environ, **environment})


def test_from_the_shell(kaggle: Kaggle, tmp_path: Path) -> None:
    """Standard output holds the result alone, though kagglehub prints there that it is old."""
    refused = shell(tmp_path / "set")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.splitlines()[-1].startswith("error: no credentials for Kaggle were found; log in: ")
    done = shell(tmp_path / "set", KAGGLE_API_TOKEN=TOKEN)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["n"] == 4
    assert "kagglehub: Warning: Looks like you're using an outdated" in done.stderr
    assert TOKEN not in done.stderr
