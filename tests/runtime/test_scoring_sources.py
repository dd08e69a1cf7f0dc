"""What is read of folders, manifests, archives and addresses, in which order, and in which shard."""

from __future__ import annotations

import functools
import http.server
import io
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

from facevalue.errors import FaceValueError, ImageError, MissingExtraError, UsageError
from facevalue.images.sources import encoded
from facevalue.runtime.scoring import remote
from facevalue.runtime.scoring.items import Item, Shard, Skipped
from facevalue.runtime.scoring.sources import Sources

Fill = Callable[..., Path]


@pytest.fixture
def images(fill: Fill, tmp_path: Path) -> Path:
    folder = fill(tmp_path / "images", "a", "b", n=6)
    (folder / "a" / "notes.txt").write_text("no image")
    return folder


def read(*given: str | Path, shard: str | None = None, skipped: Skipped | None = None) -> dict[str, bytes]:
    """The bytes of each image by name, in order."""
    found: dict[str, bytes] = {}
    for item in Sources.of(given, Shard.parsed(shard)).items(skipped):
        assert item.name not in found
        found[item.name] = loaded(item)
    return found


def loaded(item: Item) -> bytes:
    image = item.load()
    assert isinstance(image, bytes | Path)
    return encoded(image)


def packed(images: Path, to: Path, mode: str = "w") -> Path:
    """A WebDataset shard: each image with a JSON file of the same name."""
    with tarfile.open(to, mode) as archive:  # type: ignore[call-overload]
        for number, path in enumerate(sorted(images.rglob("*.png"))):
            archive.add(path, f"{number:03}.png")
            companion = tarfile.TarInfo(f"{number:03}.json")
            companion.size = 2
            archive.addfile(companion, io.BytesIO(b"{}"))
    return to


def content(images: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(images.rglob("*.png"))]


def test_folder(images: Path) -> None:
    skipped = Skipped()
    found = read(images, skipped=skipped)
    assert list(found) == [str(path) for path in sorted(images.rglob("*.png"))]
    assert (skipped.n, skipped.line()) == (1, f"skipped 1: 1 is not an image, e.g. '{images / 'a' / 'notes.txt'}'")
    assert Sources.of([images]).count() == 12


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_manifest(images: Path, tmp_path: Path, suffix: str) -> None:
    paths = sorted(images.rglob("*.png"))[::-1]
    table = pd.DataFrame({"other": 1, "path": [str(path.relative_to(tmp_path)) for path in paths]})
    file = tmp_path / f"manifest.{suffix}"
    table.to_csv(file, index=False) if suffix == "csv" else table.to_parquet(file)
    assert read(file) == {str(path): path.read_bytes() for path in paths}


def test_bad_manifests(tmp_path: Path) -> None:
    for text, reason in (("file\na.png\n", "has no column path"), ("path,x\na.png,1\n,2\n", "row 2 of .* has no path")):
        (tmp_path / "m.csv").write_text(text)
        with pytest.raises(UsageError, match=reason):
            list(Sources.of([tmp_path / "m.csv"]).items())
    (tmp_path / "m.parquet").write_text("no parquet")
    with pytest.raises(UsageError, match="is not a Parquet file"):
        list(Sources.of([tmp_path / "m.parquet"]).items())


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_archive(images: Path, tmp_path: Path, mode: str) -> None:
    file = packed(images, tmp_path / ("shard.tar" if mode == "w" else "shard.tar.gz"), mode)
    skipped = Skipped()
    found = read(file, skipped=skipped)
    assert list(found) == [f"{file}/{number:03}.png" for number in range(12)]
    assert list(found.values()) == content(images)
    assert skipped.n == 12  # the JSON files


def test_numbered_archives(images: Path, tmp_path: Path) -> None:
    for number in range(8, 12):
        packed(images, tmp_path / f"s-{number:02}.tar")
    assert len(read(tmp_path / "s-{08..11}.tar")) == 48
    with pytest.raises(UsageError, match=r"s-12\.tar does not exist"):
        Sources.of([tmp_path / "s-{08..12}.tar"])


def test_a_damaged_archive_is_a_row(images: Path, tmp_path: Path) -> None:
    """What comes before the damage is read, and the next source too."""
    whole = packed(images, tmp_path / "whole.tar").read_bytes()
    (tmp_path / "cut.tar").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "none.tar").write_bytes(b"no archive" * 100)
    good, errors = 0, []
    for item in Sources.of([tmp_path / "cut.tar", tmp_path / "none.tar", images]).items():
        try:
            loaded(item)
            good += 1
        except ImageError as error:
            errors.append((Path(item.name).name, str(error).partition(":")[0]))
    assert 12 < good < 24
    assert errors[-1] == ("none.tar", "the archive is damaged")
    assert ("cut.tar", "the archive is damaged") in errors


@pytest.mark.parametrize(
    ("mode", "damage"), [("w", "header"), ("w", "cut between files"), ("w:gz", "checksum"), ("w:bz2", "block")]
)
def test_no_damage_passes_for_the_end_of_an_archive(images: Path, tmp_path: Path, mode: str, damage: str) -> None:
    """Python's tarfile takes a damaged or missing header for the end, and does not check what follows the last file."""
    file = tmp_path / f"a.tar{mode[1:].replace(':', '.')}"
    content = bytearray(packed(images, file, mode).read_bytes())
    with tarfile.open(file) as archive:
        header = archive.getmembers()[12].offset
    if damage == "header":
        content[header : header + 40] = b"x" * 40
    elif damage == "cut between files":
        del content[header:]
    elif damage == "checksum":
        content[-8] ^= 0xFF
    else:
        content[len(content) // 2] ^= 0xFF
    file.write_bytes(content)
    *before, last = Sources.of([file]).items()
    assert len(before) == {"w": 6, "w:gz": 12, "w:bz2": 0}[mode]
    with pytest.raises(ImageError, match="the archive is damaged"):
        last.load()


@pytest.mark.parametrize("kind", ["folder", "manifest", "archive", "archives"])
def test_shards_are_disjoint_and_complete(kind: str, fill: Fill, tmp_path: Path) -> None:
    images = fill(tmp_path / "images", "a", "b", n=20)
    given = [images]
    if kind == "manifest":
        pd.DataFrame({"path": sorted(map(str, images.rglob("*.png")))}).to_csv(tmp_path / "m.csv")
        given = [tmp_path / "m.csv"]
    elif kind.startswith("archive"):
        given = [packed(images, tmp_path / f"{number}.tar") for number in range(1 if kind == "archive" else 5)]
    whole = read(*given)
    shards = [read(*given, shard=f"{number}/4") for number in range(1, 5)]
    assert shards == [read(*given, shard=f"{number}/4") for number in range(1, 5)]
    assert all(shards)
    assert sum(map(len, shards)) == len(whole)
    assert {name: data for shard in shards for name, data in shard.items()} == whole


def test_a_new_image_moves_no_other_to_another_shard(images: Path, image: Callable[[Path, int], Path]) -> None:
    before = read(images, shard="1/3")
    image(images / "a" / "0-first.png", 99)
    assert set(read(images, shard="1/3")) - {str(images / "a" / "0-first.png")} == set(before)


@pytest.mark.parametrize("text", ["0/4", "5/4", "1", "", "a/b", "1/0", "-1/2"])
def test_bad_shards(text: str) -> None:
    with pytest.raises(UsageError, match="Expected `shard` as I/N"):
        Shard.parsed(text)


@pytest.fixture
def in_memory(images: Path) -> Iterator[str]:
    """The images in fsspec's own memory."""
    import fsspec

    storage = fsspec.filesystem("memory")
    storage.put(str(images), "/bucket", recursive=True)
    yield "memory://bucket"
    storage.rm("/bucket", recursive=True)


def test_addresses(in_memory: str, images: Path, tmp_path: Path) -> None:
    import fsspec

    skipped = Skipped()
    found = read(in_memory, skipped=skipped)
    assert list(found.values()) == content(images)
    assert next(iter(found)) == f"{in_memory}/{min(images.rglob('*.png')).relative_to(images).as_posix()}"
    assert skipped.n == 1
    one = next(iter(found))
    assert read(one) == {one: found[one]}
    storage = fsspec.filesystem("memory")
    storage.put(str(packed(images, tmp_path / "s.tar")), "/bucket/s.tar")
    assert list(read(f"{in_memory}/s.tar").values()) == content(images)
    storage.pipe("/bucket/m.csv", ("path\n" + "\n".join(name.removeprefix(in_memory + "/") for name in found)).encode())
    assert read(f"{in_memory}/m.csv") == found
    with pytest.raises(UsageError, match="there is no file at memory://bucket/nothing"):
        read(f"{in_memory}/nothing")


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def test_web_server(images: Path, tmp_path: Path) -> None:
    pytest.importorskip("aiohttp")
    packed(images, images / "s.tar")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(images))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{server.server_address[1]}"
        names = [path.relative_to(images).as_posix() for path in sorted(images.rglob("*.png"))]
        assert list(read(*(f"{base}/{name}" for name in names)).values()) == content(images)
        assert list(read(f"{base}/s.tar").values()) == content(images)
        (item,) = Sources.of([f"{base}/none.png"]).items()
        with pytest.raises(ImageError, match="there is no such file"):
            item.load()
        server.shutdown()


def test_a_storage_that_fails_is_asked_again(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("aiohttp")
    monkeypatch.setattr(remote, "PAUSES", (0.0, 0.0))
    asked: list[str] = []

    class Fails(_Quiet):
        def do_GET(self) -> None:
            asked.append(self.path)
            if asked.count(self.path) <= (2 if "p00" in self.path else 3):
                self.send_error(503)
            else:
                super().do_GET()

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Fails, directory=str(images))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{server.server_address[1]}"
        good, bad = Sources.of([f"{base}/a/p00.png", f"{base}/a/p01.png"]).items()
        assert loaded(good) == (images / "a" / "p00.png").read_bytes()
        with pytest.raises(ImageError, match="cannot be read: 503"):
            bad.load()
        server.shutdown()


def test_without_fsspec_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(MissingExtraError, match=r"facevalue\[remote\]"):
        list(Sources.of(["memory://bucket"]).items())


def test_a_missing_source_is_an_error(tmp_path: Path) -> None:
    for given, reason in (([tmp_path / "none"], "does not exist"), (["-"], "standard input"), ([], "no source")):
        with pytest.raises(FaceValueError, match=reason):
            Sources.of(given)
