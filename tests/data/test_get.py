"""Known public sets from a real server on this machine: cut, resumed, refused, full, interrupted."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from facevalue.data.fetch.download import Patience, Source, download
from facevalue.data.fetch.known_sets import RECEIPT, fetch
from facevalue.data.known import KNOWN, Archive, KnownSet
from facevalue.data.layout import list_files
from facevalue.errors import DataError, FaceValueError, UsageError

from .. import commands

QUICK = Patience(tries=3, wait=0.01, timeout=5)


@dataclass
class Shelf:
    """What the server has, and how it misbehaves."""

    files: dict[str, bytes] = field(default_factory=dict)
    cut_after: list[int] = field(default_factory=list)  # bytes of the next answers, each then cut
    ranges: bool = True
    etag: bool = True
    status: list[int] = field(default_factory=list)  # of the next answers
    slow: float = 0.0  # seconds a chunk
    location: str = ""  # where every answer leads to instead
    length: str = ""  # the Content-Length to send instead
    asked: list[tuple[str, str]] = field(default_factory=list)  # path and range of every request
    address: str = ""


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    """A server over real sockets, with a thread a connection."""
    here = Shelf()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range", "")
            here.asked.append((self.path, wanted))
            if here.status:
                self.send_error(here.status.pop(0))
                return
            if here.location:
                self.send_response(302)
                self.send_header("Location", here.location)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            data = here.files.get(self.path.lstrip("/"))
            if data is None:
                self.send_error(404)
                return
            etag = f'"{hashlib.md5(data).hexdigest()}"'
            same = self.headers.get("If-Range", etag) == etag
            begin = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1]) if wanted and here.ranges and same else 0  # type: ignore[index]
            if begin >= len(data) > 0 and begin:
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(data)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206 if begin else 200)
            if begin:
                self.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
            if here.etag:
                self.send_header("ETag", etag)
            self.send_header("Content-Length", here.length or str(len(data) - begin))
            self.close_connection = bool(here.length)
            self.end_headers()
            body = data[begin:]
            if here.cut_after:
                self.wfile.write(body[: here.cut_after.pop(0)])
                self.wfile.flush()
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True
                return
            for i in range(0, len(body), 65536):
                self.wfile.write(body[i : i + 65536])
                time.sleep(here.slow)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            pass  # the client has gone, as the test intends

    server = Server(("127.0.0.1", 0), Handler)
    here.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield here
    server.shutdown()
    server.server_close()
    thread.join()


def png(seed: int) -> bytes:
    stream = io.BytesIO()
    Image.frombytes("RGB", (24, 24), hashlib.shake_256(str(seed).encode()).digest(24 * 24 * 3)).save(stream, "PNG")
    return stream.getvalue()


def zipped(names: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as packed:
        for name, data in names.items():
            packed.writestr(name, data)
    return stream.getvalue()


def tarred(names: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as packed:
        for name, data in names.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            packed.addfile(info, io.BytesIO(data))
    return stream.getvalue()


TRAIN = zipped({f"{c}/{c}{i}.png": png(i) for c in ("horses", "humans") for i in range(12)} | {"__MACOSX/x": b"junk"})


def record(shelf: Shelf, data: bytes = TRAIN, **changes: Any) -> KnownSet:
    """A set of one archive at the local server, put there as well."""
    shelf.files["set.zip"] = data
    archive = Archive(
        url=f"{shelf.address}/set.zip",
        name="set.zip",
        bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        unpacked=1_000_000,
        to="train",
        checked_by="this test",
    )
    return KnownSet("set", "a set", (replace(archive, **changes),), "CC0", "http://localhost", 24)


def tree(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def test_a_set_is_fetched_checked_and_unpacked(shelf: Shelf, tmp_path: Path) -> None:
    done = fetch(record(shelf), tmp_path / "set", patience=QUICK)
    assert tree(tmp_path / "set") == {
        RECEIPT,
        *(f"train/{c}/{c}{i}.png" for c in ("horses", "humans") for i in range(12)),
    }
    assert done.to_dict()["n"] == 24
    (archive,) = done.receipt["archives"]
    assert archive["sha256"] == hashlib.sha256(TRAIN).hexdigest()
    assert archive["checked_by"] == "this test"
    assert os.listdir(tmp_path) == ["set"]  # noqa: PTH208 - hidden ones too
    again = fetch(record(shelf), tmp_path / "set", patience=QUICK)
    assert again.was_there
    assert again.receipt == done.receipt
    assert len(shelf.asked) == 1


def test_cut_in_the_middle_it_goes_on(shelf: Shelf, tmp_path: Path) -> None:
    shelf.cut_after = [5_000, 7_000]
    fetch(record(shelf), tmp_path / "set", patience=QUICK)
    assert [asked for _, asked in shelf.asked] == ["", "bytes=5000-", "bytes=12000-"]
    assert len(tree(tmp_path / "set")) == 25


def test_a_later_run_goes_on_where_the_first_gave_up(shelf: Shelf, tmp_path: Path) -> None:
    shelf.cut_after = [5_000, 0, 0, 0]
    with pytest.raises(FaceValueError, match="run again to resume after 5,000 bytes"):
        fetch(record(shelf), tmp_path / "set", patience=QUICK)
    assert tree(tmp_path) == {"set.download/set.zip.part", "set.download/set.zip.part.json"}
    shelf.cut_after.clear()
    shelf.asked.clear()
    fetch(record(shelf), tmp_path / "set", patience=QUICK)
    assert shelf.asked == [("/set.zip", "bytes=5000-")]
    assert os.listdir(tmp_path) == ["set"]  # noqa: PTH208


@pytest.mark.parametrize("lacks", ["ranges", "etag"])
def test_a_server_that_cannot_go_on_starts_anew(shelf: Shelf, tmp_path: Path, lacks: str) -> None:
    known = record(shelf, sha256=None) if lacks == "etag" else record(shelf)
    setattr(shelf, lacks, False)
    shelf.cut_after = [5_000]
    fetch(known, tmp_path / "set", patience=QUICK)
    assert len(tree(tmp_path / "set")) == 25


def test_a_file_replaced_on_the_server_is_fetched_from_the_start(shelf: Shelf, tmp_path: Path) -> None:
    data = os.urandom(50_000)
    source = Source(f"{shelf.address}/a.bin")
    shelf.files["a.bin"] = os.urandom(50_000)
    shelf.cut_after = [20_000, 0, 0, 0]
    with pytest.raises(FaceValueError, match="run again to resume after 20,000 bytes"):
        download(source, tmp_path / "a.bin", patience=QUICK)
    shelf.files["a.bin"] = data
    shelf.cut_after.clear()
    assert download(source, tmp_path / "a.bin", patience=QUICK) == hashlib.sha256(data).hexdigest()
    assert (tmp_path / "a.bin").read_bytes() == data


def test_temporary_failures_are_retried_and_lasting_ones_reported(shelf: Shelf, tmp_path: Path) -> None:
    known = record(shelf)
    shelf.status = [503, 429]
    fetch(known, tmp_path / "set", patience=QUICK)
    shelf.status = [403]
    with pytest.raises(FaceValueError, match="the server answered 403"):
        fetch(known, tmp_path / "other", patience=QUICK)
    shelf.files.clear()
    with pytest.raises(FaceValueError, match="the server answered 404"):
        fetch(known, tmp_path / "other", patience=QUICK)
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("location", ["/set.zip", "file:///etc/hostname"])
def test_a_broken_redirection_is_one_error_line(shelf: Shelf, tmp_path: Path, location: str) -> None:
    known = record(shelf)
    shelf.location = location
    with pytest.raises(FaceValueError, match="cannot be downloaded") as told:
        fetch(known, tmp_path / "set", patience=QUICK)
    assert "\n" not in str(told.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("address", ["http://[::1/set.zip", "http://localhost/straße.zip"])
def test_an_invalid_address_is_reported(tmp_path: Path, address: str) -> None:
    with pytest.raises(FaceValueError, match="the address, or a redirection of it, is not valid"):
        download(Source(address), tmp_path / "set.zip", QUICK)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("length", ["many", "-5", "١٢"])
def test_an_invalid_content_length_is_ignored(shelf: Shelf, tmp_path: Path, length: str) -> None:
    known = record(shelf)
    shelf.length = length.encode().decode("latin-1")
    assert fetch(known, tmp_path / "set", patience=QUICK).receipt["n"] == 24


def test_two_runs_do_not_write_into_one_file(shelf: Shelf, tmp_path: Path) -> None:
    known = record(shelf, zipped({"horses/1.png": png(1), "horses/notes": bytes(400_000)}))
    shelf.slow = 0.1
    with ThreadPoolExecutor() as pool:
        first = pool.submit(fetch, known, tmp_path / "set", patience=QUICK)
        while not shelf.asked:
            time.sleep(0.01)
        with pytest.raises(FaceValueError, match="another run is downloading"):
            fetch(known, tmp_path / "set", patience=QUICK)
        assert first.result().receipt["n"] == 1
    assert {p.name for p in tmp_path.iterdir()} == {"set"}


def test_the_wrong_content_deletes_nothing_that_was_good(shelf: Shelf, tmp_path: Path) -> None:
    fetch(record(shelf), tmp_path / "set", patience=QUICK)
    before = {p: p.read_bytes() for p in (tmp_path / "set").rglob("*") if p.is_file()}
    wrong = record(shelf, sha256="0" * 64)
    with pytest.raises(FaceValueError, match=r"has unexpected content: expected sha256 000.*; the file was removed"):
        fetch(wrong, tmp_path / "set", overwrite=True, patience=QUICK)
    with pytest.raises(FaceValueError, match="expected 7 bytes, but the server has"):
        fetch(record(shelf, bytes=7), tmp_path / "set", overwrite=True, patience=QUICK)
    assert {p: p.read_bytes() for p in (tmp_path / "set").rglob("*") if p.is_file()} == before
    assert not list(tmp_path.glob("**/*.part"))


def test_an_archive_without_checksum_is_accepted_once(shelf: Shelf, tmp_path: Path) -> None:
    unknown = record(shelf, sha256=None, bytes=None, checked_by="")
    first = fetch(unknown, tmp_path / "set", patience=QUICK).receipt["archives"][0]
    assert first["sha256"] == hashlib.sha256(TRAIN).hexdigest()
    assert first["checked_by"].startswith("nobody")
    shelf.files["set.zip"] = zipped({"horses/other.png": png(99)})
    with pytest.raises(FaceValueError, match="has unexpected content"):
        fetch(unknown, tmp_path / "set", overwrite=True, patience=QUICK)


def link() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as packed:
        info = tarfile.TarInfo("a/link.png")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        packed.addfile(info)
    return stream.getvalue()


def device() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as packed:
        info = tarfile.TarInfo("a/null")
        info.type = tarfile.CHRTYPE
        packed.addfile(info)
    return stream.getvalue()


def zip_link() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as packed:
        info = zipfile.ZipInfo("a/link.png")
        info.external_attr = 0o120777 << 16
        packed.writestr(info, "/etc/passwd")
    return stream.getvalue()


def bomb() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("a/x.png", bytes(2_000_000))
    return stream.getvalue()


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (zipped({"a/ok.png": png(0), "../evil.png": png(1)}), "leads out of its folder"),
        (zipped({"/abs/evil.png": png(1)}), "leads out of its folder"),
        (zipped({"a\\..\\evil.png": png(1)}), "leads out of its folder"),
        (zipped({"C:/evil.png": png(1)}), "leads out of its folder"),
        (tarred({"a/../../evil.png": png(1)}), "leads out of its folder"),
        (tarred({"/evil.png": png(1)}), "leads out of its folder"),
        (link(), "is a link"),
        (zip_link(), "is a link"),
        (device(), "is a device"),
        (bomb(), "unpacks to more than the 1,000,000 bytes allowed"),
        (tarred({"a/x.png": bytes(2_000_000)}), "unpacks to more than the 1,000,000 bytes allowed"),
        (tarred({"a/x.png": png(1), "a/./x.png": png(2)}), "twice"),
        (TRAIN[: len(TRAIN) // 2], "neither a zip nor a tar"),
        (tarred({"a/x.png": os.urandom(90_000)})[:40_000], "is damaged"),
        (b"<html>sign in</html>", "neither a zip nor a tar"),
        (zipped({"notes/": b""}), "holds no files"),
    ],
)
def test_evil_and_damaged_archives_are_refused(shelf: Shelf, tmp_path: Path, data: bytes, told: str) -> None:
    place = tmp_path / "deep" / "down"
    with pytest.raises(DataError, match=re.escape(told)):
        fetch(record(shelf, data), place / "set", patience=QUICK)
    assert not (place / "set").exists()
    assert not [p for p in tmp_path.rglob("*") if p.suffix == ".png"]


def test_an_archive_in_an_archive_and_folders_that_move(shelf: Shelf, tmp_path: Path) -> None:
    """As Caltech-101 and LFW are packed."""
    objects = tarred({f"101_ObjectCategories/{c}/image_{i}.jpg": png(i) for c in ("ant", "cup") for i in range(3)})
    outer = zipped({"caltech-101/101_ObjectCategories.tar.gz": objects, "caltech-101/Annotations.tar": b"x"})
    people = tarred({f"lfw_funneled/{p}/{p}_000{i}.jpg": png(50 + i) for p in ("Ann", "Bob") for i in range(2)})
    both = KNOWN["humans-or-objects"]
    shelf.files |= {"lfw-funneled.tgz": people, "caltech-101.zip": outer}
    local = tuple(replace(a, bytes=None, sha256=hashlib.sha256(shelf.files[a.name]).hexdigest()) for a in both.archives)
    fetch(replace(both, archives=local), tmp_path / "set", mirror=shelf.address, patience=QUICK)
    listed = list_files(tmp_path / "set").files
    assert {(f.label, f.parent) for f in listed} == {
        ("human", "Ann"), ("human", "Bob"), ("object", "ant"), ("object", "cup"),
    }  # fmt: skip
    assert tree(tmp_path / "set") == {RECEIPT, *(f.key for f in listed)}


def test_a_folder_can_be_the_mirror(shelf: Shelf, tmp_path: Path) -> None:
    known = record(shelf)
    (tmp_path / "downloads").mkdir()
    with pytest.raises(UsageError, match=r"set\.zip does not exist"):
        fetch(known, tmp_path / "set", mirror=str(tmp_path / "downloads"))
    (tmp_path / "downloads" / "set.zip").write_bytes(TRAIN)
    assert fetch(known, tmp_path / "set", mirror=str(tmp_path / "downloads")).to_dict()["n"] == 24
    assert (tmp_path / "downloads" / "set.zip").exists()
    assert shelf.asked == []


def test_every_record_is_complete() -> None:
    for name, known in KNOWN.items():
        assert name == known.name
        for archive in known.archives:
            assert archive.url.startswith("https://")
            assert (archive.sha256 is None) == (archive.checked_by == "")
            assert archive.sha256 is None or re.fullmatch("[0-9a-f]{64}", archive.sha256)
            assert archive.bytes is None or archive.bytes < archive.unpacked


# Through the command line.


def get(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*commands.facevalue(), "data", "get", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **environment},
    )


def refused(done: subprocess.CompletedProcess[str], code: int, told: str) -> None:
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert told in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_from_the_shell(shelf: Shelf, tmp_path: Path) -> None:
    """A set without a published checksum, from a mirror set by an environment variable."""
    folders = [f"{s}/{c}" for s in ("train", "valid", "test") for c in ("real", "fake")]
    packed = {f"real_vs_fake/real-vs-fake/{folder}/{i}.jpg": png(i) for folder in folders for i in range(2)}
    shelf.files["140k-real-and-fake-faces.zip"] = zipped(packed)
    out = tmp_path / "faces"
    done = get("real-or-ai-faces", "-o", out, "--json", "-", FACEVALUE_MIRROR=shelf.address)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert (figures["path"], figures["n"]) == (str(out), 12)
    assert "has no published checksum; the downloaded file has sha256" in done.stderr
    assert "[unpublished-checksum]" in done.stderr
    assert {(f.split, f.label) for f in list_files(out).files} == {
        (s, c) for s in ("train", "validation", "test") for c in ("real", "fake")
    }
    again = get("real-or-ai-faces", "-o", out)
    assert again.stdout.splitlines()[-1] == f"{out}: 12 images, already downloaded"
    refused(
        get("lfw", "-o", out, "--from", shelf.address), 2, "is already a downloaded dataset; choose another --output"
    )
    refused(get("lfv"), 2, "no known set 'lfv' (did you mean 'lfw'?); there are: horses-or-humans, lfw, caltech-101")
    assert "horses-or-humans" in get().stdout


def test_a_full_disk(shelf: Shelf, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", str(disk)]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"mounting a small file system is not permitted here: {mounted.stderr.strip()}")
    try:
        shelf.files["140k-real-and-fake-faces.zip"] = os.urandom(300_000)
        refused(get("real-or-ai-faces", "-o", disk / "set", "--from", shelf.address), 1, "the disk is full")
        assert not (disk / "set").exists()
    finally:
        subprocess.run(["umount", disk], check=True)


def test_ctrl_c_keeps_what_arrived(shelf: Shelf, tmp_path: Path) -> None:
    name = "140k-real-and-fake-faces.zip"
    shelf.files[name] = zipped({f"real_vs_fake/real-vs-fake/train/real/{i}.jpg": os.urandom(200_000) for i in range(9)})
    shelf.slow = 0.2
    begun = [sys.executable, "-m", "facevalue", "data", "get", "real-or-ai-faces", "-o", str(tmp_path / "set")]
    part = tmp_path / "set.download" / f"{name}.part"
    with subprocess.Popen([*begun, "--from", shelf.address], stderr=subprocess.PIPE, text=True) as process:
        until = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < until and not (part.exists() and part.stat().st_size):
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert errors.splitlines()[-1].startswith("error: interrupted")
    arrived = part.stat().st_size
    assert 0 < arrived < len(shelf.files[name])
    assert sorted(os.listdir(tmp_path)) == ["set.download"]  # noqa: PTH208
    shelf.slow = 0
    shelf.asked.clear()
    assert get("real-or-ai-faces", "-o", tmp_path / "set", "--from", shelf.address).returncode == 0
    assert shelf.asked == [(f"/{name}", f"bytes={arrived}-")]
    assert os.listdir(tmp_path) == ["set"]  # noqa: PTH208
