"""The cache of network inputs: equal to decoding, bounded in size, complete or absent, rewritten if damaged."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from facevalue.data.dataset import ImageDataset, dataset_of
from facevalue.data.scan import scan
from facevalue.errors import DataError, UsageError
from facevalue.images.input_cache import InputCache, cached, default_folder, limit_bytes
from facevalue.images.preprocessing import Preprocessing
from facevalue.support import progress

SIDE = 16
BYTES = SIDE * SIDE * 3
PREPROCESSING = Preprocessing(size=SIDE)
PLENTY = 10**7


class Source:
    """Images of noise that counts how often each is decoded."""

    def __init__(self, n: int, first: int = 0) -> None:
        self.pixels = np.random.default_rng(first).integers(0, 256, (n, SIDE, SIDE, 3), dtype=np.uint8)
        self.sha256s = [hashlib.sha256(pixels.tobytes()).hexdigest() for pixels in self.pixels]
        self.decoded: list[int] = []

    def __call__(self, i: int) -> NDArray[np.uint8]:
        self.decoded.append(i)
        return self.pixels[i]


class Notes(progress.Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        self.lines.append(text)


@contextmanager
def noted() -> Iterator[list[str]]:
    notes = Notes()
    with progress.using(notes):
        yield notes.lines


def files(folder: Path) -> list[str]:
    return sorted(path.suffix for path in folder.iterdir() if path.suffix != ".use")


def only(folder: Path) -> Path:
    (path,) = folder.glob("*.inputs")
    return path


def test_network_inputs_are_read_back_and_decoded_once(tmp_path: Path) -> None:
    source = Source(20)
    for _ in range(2):
        cache = cached(source.sha256s, PREPROCESSING, source, tmp_path, PLENTY)
        assert cache is not None
        assert len(cache) == 20
        for sha256, pixels in zip(source.sha256s, source.pixels, strict=True):
            np.testing.assert_array_equal(cache.get(sha256), pixels)
        assert cache.get("0" * 64) is None
        assert cache.get("f" * 64) is None
    assert sorted(source.decoded) == list(range(20))
    assert files(tmp_path) == [".inputs"]


def test_order_and_repeats_give_the_same_file(tmp_path: Path) -> None:
    source = Source(6)
    cached(source.sha256s, PREPROCESSING, source, tmp_path, PLENTY)
    again = cached([*reversed(source.sha256s), source.sha256s[0]], PREPROCESSING, source, tmp_path, PLENTY)
    assert again is not None
    assert len(again) == 6
    assert len(source.decoded) == 6


def test_another_geometry_or_image_is_another_file(tmp_path: Path) -> None:
    source, more = Source(4), Source(5)
    for sha256s, preprocessing in (
        (source.sha256s, PREPROCESSING),
        (source.sha256s, Preprocessing(size=SIDE, fit="pad")),
        (source.sha256s, Preprocessing(size=SIDE, jpeg_gap=2)),
        (more.sha256s, PREPROCESSING),
    ):
        cached(sha256s, preprocessing, more, tmp_path, PLENTY)
    assert len(files(tmp_path)) == 4


def test_another_decoder_is_another_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = Source(3)
    cached(source.sha256s, PREPROCESSING, source, tmp_path, PLENTY)
    monkeypatch.setattr("facevalue.images.decoding.pillow_version", "0.1")
    cached(source.sha256s, PREPROCESSING, source, tmp_path, PLENTY)
    assert len(files(tmp_path)) == 2


def test_images_beyond_the_limit_are_not_cached(tmp_path: Path) -> None:
    source = Source(50)
    limit = 4096 + 20 * BYTES
    cache = cached(source.sha256s, PREPROCESSING, source, tmp_path, limit)
    assert cache is not None
    assert len(cache) == 20
    held = [cache.get(sha256) for sha256 in source.sha256s]
    assert sum(pixels is not None for pixels in held) == len(cache)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= limit


def test_the_least_recently_used_file_is_removed(tmp_path: Path) -> None:
    limit = 3 * (4096 + 10 * BYTES)
    for first in range(3):
        source = Source(10, first)
        cached(source.sha256s, PREPROCESSING, source, tmp_path, limit)
        for path in tmp_path.iterdir():
            os.utime(path, ns=(0, path.stat().st_mtime_ns - 10**9))
    used = Source(10, 0)
    cached(used.sha256s, PREPROCESSING, used, tmp_path, limit)  # now the second is the longest unused
    assert used.decoded == []
    new = Source(10, 3)
    cached(new.sha256s, PREPROCESSING, new, tmp_path, limit)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= limit
    for first, decoded in ((0, 0), (2, 0), (3, 0)):
        source = Source(10, first)
        cached(source.sha256s, PREPROCESSING, source, tmp_path, limit)
        assert len(source.decoded) == decoded


def test_a_file_in_use_is_not_removed(tmp_path: Path) -> None:
    limit = 4096 + 11 * BYTES
    used, new = Source(10, 0), Source(10, 1)
    held = cached(used.sha256s, PREPROCESSING, used, tmp_path, limit)
    assert held is not None
    with noted() as notes:
        assert cached(new.sha256s, PREPROCESSING, new, tmp_path, limit) is None
    assert len(notes) == 1
    assert "no room" in notes[0]
    np.testing.assert_array_equal(held.get(used.sha256s[3]), used.pixels[3])
    del held
    assert cached(new.sha256s, PREPROCESSING, new, tmp_path, limit) is not None


def corruption(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 255
    path.write_bytes(data)


@pytest.mark.parametrize("where", ["mark", "table", "cut", "empty"])
def test_a_damaged_file_is_written_again(tmp_path: Path, where: str) -> None:
    source = Source(8)
    cached(source.sha256s, PREPROCESSING, source, tmp_path, PLENTY)
    (path,) = tmp_path.iterdir()
    if where in ("mark", "table"):
        corruption(path, {"mark": 3, "table": 100}[where])
    else:
        path.write_bytes(path.read_bytes()[: {"cut": -1, "empty": 0}[where]])
    cache = cached(source.sha256s, PREPROCESSING, source, tmp_path, PLENTY)
    assert cache is not None
    assert len(source.decoded) == 16
    for sha256, pixels in zip(source.sha256s, source.pixels, strict=True):
        np.testing.assert_array_equal(cache.get(sha256), pixels)


@pytest.mark.parametrize("cut", [False, True])
def test_an_input_damaged_while_open_is_not_returned(tmp_path: Path, cut: bool) -> None:
    source = Source(8)
    cache = cached(source.sha256s, PREPROCESSING, source, tmp_path, PLENTY)
    assert cache is not None
    path = only(tmp_path)
    if cut:
        os.truncate(path, path.stat().st_size - 10)
    else:
        corruption(path, -10)  # in place: the open file sees it
    last = source.sha256s.index(max(source.sha256s))
    assert cache.get(source.sha256s[last]) is None
    assert files(tmp_path) == []  # so that it is written again
    others = [i for i in range(8) if i != last]
    np.testing.assert_array_equal([cache.get(source.sha256s[i]) for i in others], source.pixels[others])


def test_an_error_while_decoding_leaves_nothing(tmp_path: Path) -> None:
    source = Source(8)

    def lost(i: int) -> NDArray[np.uint8]:
        if i == 5:
            raise DataError("x.jpg is truncated")
        return source(i)

    with pytest.raises(DataError, match=r"x\.jpg is truncated"):
        cached(source.sha256s, PREPROCESSING, lost, tmp_path, PLENTY)
    assert files(tmp_path) == []


def test_files_of_a_killed_process_are_removed(tmp_path: Path) -> None:
    (tmp_path / "abc.xyz.partial").write_bytes(b"left")
    source = Source(2)
    cached(source.sha256s, PREPROCESSING, source, tmp_path, PLENTY)
    assert files(tmp_path) == [".inputs"]


FULL = """
import resource, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_input_cache import PREPROCESSING, PLENTY, Source, cached, noted
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
source = Source(100)
with noted() as notes:
    assert cached(source.sha256s, PREPROCESSING, source, Path(sys.argv[1]), PLENTY) is None
assert source.decoded == [], "found out before the work"
print(*notes, sep="\\n")
"""


@pytest.mark.usefixtures("not_measured")
def test_no_more_room_on_the_disk_is_one_note(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path), str(Path(__file__).parent)], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.count("\n") == 1
    assert "not cached on disk" in run.stdout
    assert files(tmp_path) == []


def test_a_folder_that_cannot_be_made_is_one_note(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    source = Source(2)
    with noted() as notes:
        assert cached(source.sha256s, PREPROCESSING, source, tmp_path / "file" / "inputs", PLENTY) is None
    assert len(notes) == 1
    assert "Not a directory" in notes[0]


def test_the_user_sets_the_limit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FACEVALUE_CACHE_GB", "0.5")
    assert limit_bytes() == 500_000_000
    monkeypatch.delenv("FACEVALUE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "facevalue" / "inputs"
    monkeypatch.setenv("FACEVALUE_CACHE", str(tmp_path))
    assert default_folder() == tmp_path / "inputs"
    monkeypatch.setenv("FACEVALUE_CACHE_GB", "0")
    source = Source(2)
    assert cached(source.sha256s, PREPROCESSING, source) is None
    assert source.decoded == []
    assert list(tmp_path.iterdir()) == []
    for wrong in ("much", "-1", "nan", "inf"):
        monkeypatch.setenv("FACEVALUE_CACHE_GB", wrong)
        with pytest.raises(UsageError, match="should be a number of gigabytes"):
            limit_bytes()


@pytest.fixture
def some(tmp_path: Path, fill: Callable[..., Path]) -> ImageDataset:
    return dataset_of(scan(fill(tmp_path / "data", "a", "b", n=7)), PREPROCESSING, ("a", "b"))


def test_images_are_the_same_from_the_cache(some: ImageDataset, tmp_path: Path) -> None:
    expected = some.pixels()
    order = np.random.default_rng(0).permutation(len(some))
    for limit in (PLENTY, 4096 + 6 * BYTES):  # all of them, and a part
        held = some.held(tmp_path / "inputs", limit, room=0)
        assert held._held is not None
        np.testing.assert_array_equal(held.pixels(), expected)
        np.testing.assert_array_equal(held.take(order).pixels(), expected[order])
        path = only(tmp_path / "inputs")
        path.unlink()


def test_cached_images_need_no_files(some: ImageDataset, tmp_path: Path) -> None:
    expected, held = some.pixels(), some.held(tmp_path / "inputs", PLENTY, room=0)
    for path in some.images:
        path.unlink()
    np.testing.assert_array_equal(held.pixels(), expected)
    assert replace(some, rows=some.rows[["label"]]).held(tmp_path / "inputs", PLENTY, room=0)._held is None


def test_training_reads_from_disk_where_memory_is_short(
    some: ImageDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACEVALUE_CACHE", str(tmp_path))
    in_memory = some.held()
    on_disk = some.held(room=len(some) * BYTES - 1)
    assert isinstance(in_memory._held, np.ndarray)
    assert isinstance(on_disk._held, InputCache)
    order = np.random.default_rng(0).permutation(len(some))
    for (x, y), (again, labels) in zip(in_memory.batches(4, order), on_disk.batches(4, order), strict=True):
        np.testing.assert_array_equal(x, again)
        np.testing.assert_array_equal(y, labels)
