"""Single files from a real server on this machine."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from facevalue.api.data.get import get_data
from facevalue.data.fetch.download import Patience
from facevalue.data.fetch.known_files import fetch_file
from facevalue.data.known import FILES, KnownFile
from facevalue.data.known.yunet import YUNET
from facevalue.errors import FaceValueError, UsageError
from facevalue.faces import model_file

CONTENT = b"the detector" * 5000
KNOWN = KnownFile(
    name="a-file",
    title="a file",
    url="",
    file="file.onnx",
    bytes=len(CONTENT),
    sha256=hashlib.sha256(CONTENT).hexdigest(),
    licence="MIT",
    home="https://example.org/file",
)
QUICK = Patience(tries=2, wait=0.01, timeout=5)


@pytest.fixture(scope="module")
def address() -> object:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = {"/file.onnx": CONTENT, "/old/file.onnx": CONTENT[::-1]}.get(self.path)
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_file_is_downloaded_once_and_checked(address: str, tmp_path: Path) -> None:
    known = replace(KNOWN, url=f"{address}/file.onnx")
    done = fetch_file(known, tmp_path / "new", patience=QUICK)
    assert done.path == tmp_path / "new" / "file.onnx"
    assert done.path.read_bytes() == CONTENT
    assert done.to_dict() | {"was_there": False, "from": known.url} == done.to_dict()
    assert {"path", "n", "licence", "home", "sha256"} <= set(done.to_dict())
    again = fetch_file(replace(known, url="http://127.0.0.1:9/gone"), tmp_path / "new")
    assert again.was_there
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["file.onnx"]


def test_other_contents_are_refused_and_removed(address: str, tmp_path: Path) -> None:
    with pytest.raises(FaceValueError, match=r"has unexpected content: expected sha256 .*give its folder as `source`"):
        fetch_file(KNOWN, tmp_path, f"{address}/old/", patience=QUICK)
    with pytest.raises(FaceValueError, match=f"404.* or download file.onnx yourself .see {re.escape(KNOWN.home)}"):
        fetch_file(KNOWN, tmp_path, f"{address}/nowhere", patience=QUICK)
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_another_kind_in_its_place_is_kept(address: str, tmp_path: Path) -> None:
    (tmp_path / "file.onnx").write_bytes(b"mine")
    with pytest.raises(UsageError, match="exists and is another file; choose another `output`, or give `overwrite`"):
        fetch_file(KNOWN, tmp_path, address)
    assert (tmp_path / "file.onnx").read_bytes() == b"mine"
    fetch_file(KNOWN, tmp_path, address, overwrite=True)
    assert (tmp_path / "file.onnx").read_bytes() == CONTENT


def test_a_folder_can_be_the_mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mirror").mkdir()
    with pytest.raises(UsageError, match=r"file\.onnx does not exist; give an address, or a folder"):
        fetch_file(KNOWN, tmp_path / "new", str(tmp_path / "mirror"))
    (tmp_path / "mirror" / "file.onnx").write_bytes(CONTENT[1:])
    monkeypatch.setenv("FACEVALUE_MIRROR", str(tmp_path / "mirror"))
    with pytest.raises(FaceValueError, match="unexpected content"):
        fetch_file(KNOWN, tmp_path / "new")
    (tmp_path / "mirror" / "file.onnx").write_bytes(CONTENT)
    assert fetch_file(KNOWN, tmp_path / "new").path.read_bytes() == CONTENT


def test_the_detector_lies_where_it_is_looked_for(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACEVALUE_CACHE", str(tmp_path))
    monkeypatch.setitem(FILES, "yunet", replace(KNOWN, file=model_file.NAME))
    with pytest.raises(FaceValueError, match="404"):  # the server has it under another name
        get_data("yunet", source=address)
    monkeypatch.setitem(FILES, "yunet", replace(KNOWN, url=f"{address}/file.onnx", file=model_file.NAME))
    done = get_data("yunet")
    assert done.to_dict()["path"] == str(model_file.default_path())
    assert model_file.default_path().read_bytes() == CONTENT
    with pytest.raises(UsageError, match="is not the face detector that is needed"):
        model_file.found()


def test_the_record_of_yunet_is_complete() -> None:
    assert YUNET.url.startswith("https://")
    assert YUNET.url.endswith(f"/{YUNET.file}")
    assert re.fullmatch(r"[0-9a-f]{64}", YUNET.sha256)
    assert (YUNET.licence, YUNET.bytes) == ("MIT", 229_738)


@pytest.mark.data
def test_the_pinned_file_is_the_real_one(shared_data: Path) -> None:
    path = shared_data / "face-detector" / YUNET.file
    assert path.stat().st_size == YUNET.bytes
    assert hashlib.sha256(path.read_bytes()).hexdigest() == YUNET.sha256
