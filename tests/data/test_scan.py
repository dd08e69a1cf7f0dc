"""The scan: facts of files, and what is cached between scans."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from facevalue.data import scan as scan_module
from facevalue.data.file_facts import facts_of
from facevalue.data.scan import scan
from facevalue.data.scan_cache import ScanCache
from facevalue.errors import DataError

Fill = Callable[..., Path]


@pytest.fixture
def settled(tmp_path: Path, fill: Fill, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Images that were written a while ago, by the cache's clock."""
    monkeypatch.setenv("FACEVALUE_CACHE", str(tmp_path / "cache"))
    now = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: now() + 10**10)
    return fill(tmp_path / "images", "a", "b", n=4)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Files that are read, as they are."""
    read: list[Path] = []

    def counted(path: Path) -> dict[str, object]:
        read.append(path)
        return facts_of(path)

    monkeypatch.setattr(scan_module, "facts_of", counted)
    return read


def test_a_second_scan_reads_nothing(settled: Path, reads: list[Path]) -> None:
    first = scan(settled)
    assert len(reads) == 8
    second = scan(settled)
    assert len(reads) == 8
    pd.testing.assert_frame_equal(first.table, second.table)
    assert second.fingerprint() == first.fingerprint()
    scan(settled, fresh=True)
    assert len(reads) == 16


def test_changed_files_are_read_again(settled: Path, reads: list[Path]) -> None:
    first = scan(settled)
    reads.clear()
    path = settled / "a/p00.png"
    status = path.stat()
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)  # the same size …
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))  # … and the same time
    (settled / "b/p01.png").unlink()
    second = scan(settled)
    assert reads == [path]
    assert len(second.table) == 7
    assert second.fingerprint() != first.fingerprint()


def test_files_written_just_now_are_not_cached(
    tmp_path: Path, fill: Fill, reads: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACEVALUE_CACHE", str(tmp_path / "cache"))
    fill(tmp_path / "images", "a", n=2)
    scan(tmp_path / "images")
    scan(tmp_path / "images")
    assert len(reads) == 4


def test_a_damaged_scan_cache_is_ignored(settled: Path, reads: list[Path]) -> None:
    first = scan(settled)
    path = ScanCache(settled).path
    whole = path.read_bytes()
    for text in (b"", b"PAR1", whole[: len(whole) // 2], os.urandom(2000)):
        path.write_bytes(text)
        reads.clear()
        pd.testing.assert_frame_equal(scan(settled).table, first.table)
        assert len(reads) == 8
    pd.DataFrame({"path": ["x"], "size": ["many"]}).to_parquet(path)
    pd.testing.assert_frame_equal(scan(settled).table, first.table)


def test_a_scan_cache_that_cannot_be_written_is_ignored(settled: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("in the way")
    assert len(scan(settled).table) == 8


def test_unreadable_files_and_a_new_limit_are_read_again(
    settled: Path, reads: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    (settled / "a/bad.png").write_text("no image")
    scan(settled)
    reads.clear()
    assert len(scan(settled).unreadable) == 1
    assert [path.name for path in reads] == ["bad.png"]
    monkeypatch.setenv("FACEVALUE_MAX_PIXELS", "1000")
    with pytest.raises(DataError, match="none of the 9 files"):
        scan(settled)


def interrupt_at(path: Path, patch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while this file is read."""

    def interrupted(asked: Path) -> dict[str, object]:
        if asked == path:
            raise KeyboardInterrupt
        return facts_of(asked)

    patch.setattr(scan_module, "facts_of", interrupted)


@pytest.mark.parametrize("chunk", [2, 4096])
def test_an_interrupted_scan_goes_on_where_it_was(
    settled: Path, reads: list[Path], chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan_module, "_CHUNK", chunk)
    with monkeypatch.context() as patch:
        interrupt_at(settled / "b/p01.png", patch)
        with pytest.raises(KeyboardInterrupt, match=r"reads only what is left \(5 of 8 files were looked at\)"):
            scan(settled)
    reads.clear()
    found = scan(settled)
    assert sorted(path.name for path in reads) == ["p01.png", "p02.png", "p03.png"]
    pd.testing.assert_frame_equal(found.table, scan(settled, fresh=True).table)
    assert not list(settled.rglob(".*"))


def test_an_interrupted_scan_keeps_what_is_known_of_files_that_it_did_not_reach(
    settled: Path, reads: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan_module, "_CHUNK", 2)
    scan(settled)
    for name in ("a/p00.png", "a/p02.png", "b/p00.png"):
        os.utime(settled / name, ns=(1, 1))
    with monkeypatch.context() as patch:
        interrupt_at(settled / "b/p00.png", patch)
        with pytest.raises(KeyboardInterrupt):
            scan(settled)
    reads.clear()
    scan(settled)
    assert sorted(path.relative_to(settled).as_posix() for path in reads) == ["b/p00.png"]


def test_nothing_is_written_among_the_images(settled: Path) -> None:
    before = sorted(settled.rglob("*"))
    scan(settled)
    assert sorted(settled.rglob("*")) == before


def test_facts_of_a_jpeg(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (40, 60, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0110] = "camera"
    for quality in (1, 30, 50, 75, 92, 100):
        image.save(tmp_path / "x.jpg", quality=quality, exif=exif, subsampling=2, progressive=True)
        facts = facts_of(tmp_path / "x.jpg")
        assert facts["jpeg_quality"] == quality
        assert (facts["exif"], facts["progressive"], facts["sampling"]) == (True, True, "2x2")
        assert facts["error"] == ""
    tables = facts["jpeg_tables"]
    image.save(tmp_path / "y.jpg", quality=100)
    assert facts_of(tmp_path / "y.jpg")["jpeg_tables"] == tables
    assert facts_of(tmp_path / "y.jpg")["exif"] is False
    image.save(tmp_path / "z.png")
    assert (facts_of(tmp_path / "z.png")["jpeg_tables"], facts_of(tmp_path / "z.png")["jpeg_quality"]) == ("", 0)


def test_a_large_jpeg_that_is_cut_off_is_found(tmp_path: Path) -> None:
    image = Image.effect_noise((1200, 900), 60)
    image.save(tmp_path / "x.jpg")
    assert facts_of(tmp_path / "x.jpg")["error"] == ""
    whole = (tmp_path / "x.jpg").read_bytes()
    (tmp_path / "x.jpg").write_bytes(whole[: len(whole) * 3 // 4])
    assert facts_of(tmp_path / "x.jpg")["error"] == "is truncated"


def test_loose_images_on_demand(tmp_path: Path, image: Callable[[Path, int], Path]) -> None:
    image(tmp_path / "one.png", 1)
    image(tmp_path / ".hidden.png", 2)
    with pytest.raises(DataError, match="in no class folder"):
        scan(tmp_path)
    table = scan(tmp_path, loose=True).table
    assert table[["key", "label"]].to_numpy().tolist() == [["one.png", ""]]


def test_a_pipe_among_the_images_is_not_waited_for(settled: Path) -> None:
    os.mkfifo(settled / "a/pipe.png")
    (bad,) = scan(settled).unreadable
    assert bad["path"].endswith("pipe.png")
    assert "pipe" in bad["reason"]
