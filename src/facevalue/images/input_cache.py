"""A disk cache of decoded network inputs, for splits that are read every epoch and do not fit into memory.

One file holds the network inputs of one split. Its name is a hash of the images' bytes, the preprocessing and the
decoder, so a file is only used for exactly what it was made from. It is written under another name and then renamed, so
it is always complete; several processes may read it while another writes or removes it. On Windows, a file that is open
is removed only when no process reads it any more.

Network inputs are read with ``pread``, not a memory map. The kernel caches and shares the pages in both cases, but
mapped pages count as memory of the process, a page fault blocks the interpreter lock, and a truncated file would kill
the process. Windows has no ``pread``; there threads take turns to seek and read. (On other systems that is not safe: a
forked process shares the file position.)
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import shutil
import threading
import uuid
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from facevalue.errors import UsageError
from facevalue.images import decoding
from facevalue.images.preprocessing import Preprocessing
from facevalue.support import files, locks, machine, progress

LIMIT_GB = 16.0
"""Most disk space of all cached network inputs, in 10^9 bytes. ``FACEVALUE_CACHE_GB`` changes it; 0 means no cache."""

_MAGIC = b"facevalue inputs 1\n"
_ROW = np.dtype([("sha256", "S64"), ("crc", "<u4")])
_PARTIAL = ".partial"


def limit_bytes() -> int:
    """The disk limit in bytes."""
    text = os.environ.get("FACEVALUE_CACHE_GB", "")
    try:
        limit = float(text or LIMIT_GB)
    except ValueError:
        limit = -1.0
    if not 0 <= limit < 1e9:
        raise UsageError(f"FACEVALUE_CACHE_GB should be a number of gigabytes, but is {text!r}")
    return int(limit * 1e9)


def default_folder() -> Path:
    """``inputs`` in :func:`facevalue.support.files.cache_folder`."""
    return files.cache_folder() / "inputs"


@dataclass(frozen=True)
class InputCache:
    """An open file of network inputs.

    Attributes
    ----------
    path : of the file; another process may have removed it.
    shape : of one network input, (s, s, 3).
    rows : (m,) hexadecimal SHA-256 of each image and CRC-32 of its network input, sorted by SHA-256.
    """

    path: Path
    shape: tuple[int, int, int]
    rows: NDArray[np.void]
    _file: _Open = field(repr=False)

    def __len__(self) -> int:
        return len(self.rows)

    def get(self, sha256: str) -> NDArray[np.uint8] | None:
        """The network input of an image; ``None`` if it is not cached or is damaged. Thread-safe.

        A damaged file is removed, so that the next training writes it again.
        """
        row = int(np.searchsorted(self.rows["sha256"], sha256.encode()))
        if row == len(self.rows) or self.rows["sha256"][row] != sha256.encode():
            return None
        size = int(np.prod(self.shape))
        data = self._file.read(size, _start(len(self.rows)) + row * size)
        if len(data) != size or zlib.crc32(data) != self.rows["crc"][row]:
            self._file.remove()  # the caller decodes the image again
            return None
        return np.frombuffer(data, np.uint8).reshape(self.shape)


class _Open:
    """An open file that several threads read, with a mark that tells other processes that it is in use.

    It is pickled as its path; if the file is gone when it is unpickled, it reads as empty.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._turn = threading.Lock()
        self._mark = locks.Mark(path)
        try:
            self._stream: io.FileIO | None = io.FileIO(path)
        except OSError:
            self._mark.end()
            raise

    def read(self, size: int, start: int) -> bytes:
        """``size`` bytes from position ``start``; fewer or none if the file is shorter or cannot be read."""
        stream = self._stream
        try:
            if stream is None:
                return b""
            if hasattr(os, "pread"):
                return os.pread(stream.fileno(), size, start)
            with self._turn:
                stream.seek(start)
                return stream.read(size)
        except (OSError, ValueError):  # another thread closed it in remove()
            return b""

    def size(self) -> int:
        """Size of the file in bytes, 0 if it is closed."""
        return 0 if self._stream is None else os.fstat(self._stream.fileno()).st_size

    def remove(self) -> None:
        """Remove the file; if an open file cannot be removed, close it first."""
        try:
            self.path.unlink(missing_ok=True)
        except OSError:
            self.close()
            with suppress(OSError):
                self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the file and remove the mark."""
        with self._turn:
            if self._stream is not None:
                self._stream.close()
                self._stream = None
                self._mark.end()

    def __reduce__(self) -> tuple[Callable[[Path], _Open], tuple[Path]]:
        return _reopened, (self.path,)

    def __del__(self) -> None:
        if hasattr(self, "_stream"):
            self.close()


def _reopened(path: Path) -> _Open:
    """The same file in another process; if it cannot be opened, it reads as empty."""
    try:
        return _Open(path)
    except OSError:
        empty = _Open.__new__(_Open)
        empty.path, empty._turn, empty._stream = path, threading.Lock(), None
        return empty


def cached(
    sha256s: Sequence[str],
    how: Preprocessing | tuple[Preprocessing, str],
    decode: Callable[[int], NDArray[np.uint8]],
    folder: Path | None = None,
    limit: int | None = None,
) -> InputCache | None:
    """The network inputs of these images, decoded once and then read from disk.

    If there is room for only some of them, the others are decoded every time.

    Parameters
    ----------
    sha256s : of each image's bytes, hexadecimal; equal images are cached once.
    how : the preprocessing; for crops of faces also a name of what found the faces.
    decode : returns the network input (s, s, 3) of the image at a position in ``sha256s``.
    folder : :func:`default_folder` by default.
    limit : bytes that all files in ``folder`` may take; :func:`limit_bytes` by default.

    Returns
    -------
    ``None`` if nothing can be cached: the limit leaves no room, or the disk is full or not writable. A note tells the
    user.
    """
    folder = default_folder() if folder is None else folder
    limit = limit_bytes() if limit is None else limit
    first = {sha256: i for i, sha256 in reversed(list(enumerate(sha256s)))}
    if not first or limit == 0:
        return None
    preprocessing, looked = how if isinstance(how, tuple) else (how, "")
    path = folder / f"{_key(first, preprocessing, looked)}.inputs"
    shape = (preprocessing.size, preprocessing.size, 3)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        room = _room(folder, path, limit)
        rows = _rows_for(room, len(first), int(np.prod(shape)))
        held = _opened(path, shape)
        if held is not None and len(held) >= 0.8 * rows:  # do not decode everything again to cache a little more
            os.utime(path)
            return held
        del held
        if rows == 0:
            progress.note(f"decoded images are not cached on disk: no room within {limit / 1e9:g} GB in {folder}")
            return None
        _make_room(folder, path, limit - _start(rows) - rows * int(np.prod(shape)))
        chosen = sorted(first)[:rows]
        _write(path, shape, chosen, machine.in_order(decode, (first[sha256] for sha256 in chosen)))
        return _opened(path, shape)
    except OSError as error:
        progress.note(f"decoded images are not cached on disk: {folder}: {os.strerror(error.errno or 0)}")
        return None


def _key(sha256s: dict[str, int], preprocessing: Preprocessing, looked: str) -> str:
    digest = hashlib.sha256(msgspec.json.encode([preprocessing, looked, decoding.decoder_version()]))
    for sha256 in sorted(sha256s):
        digest.update(sha256.encode())
    return digest.hexdigest()[:32]


def _start(rows: int) -> int:
    """Position of the first network input: after the magic bytes, row count, rows and CRC, rounded up to a page."""
    return -(-(len(_MAGIC) + 8 + rows * _ROW.itemsize + 4) // 4096) * 4096


def _rows_for(room: int, wanted: int, pixels: int) -> int:
    rows = min(wanted, max(0, room) // (pixels + _ROW.itemsize))
    while rows and _start(rows) + rows * pixels > room:
        rows -= 1
    return rows


def _opened(path: Path, shape: tuple[int, int, int]) -> InputCache | None:
    """The file at ``path``; ``None`` if it is missing or damaged."""
    try:
        file = _Open(path)
    except FileNotFoundError:
        return None
    head = file.read(len(_MAGIC) + 8, 0)
    count = int.from_bytes(head[len(_MAGIC) :], "little")
    if head[: len(_MAGIC)] != _MAGIC or file.size() != _start(count) + count * int(np.prod(shape)):
        return None
    table = file.read(count * _ROW.itemsize + 4, len(head))
    if zlib.crc32(table[:-4]) != int.from_bytes(table[-4:], "little"):
        return None
    return InputCache(path, shape, np.frombuffer(table[:-4], _ROW), file)


def _write(path: Path, shape: tuple[int, int, int], sha256s: list[str], inputs: Iterator[NDArray[np.uint8]]) -> None:
    rows = np.zeros(len(sha256s), _ROW)
    rows["sha256"] = sha256s
    with _partial(path) as partial:
        _fill(partial, shape, rows, inputs)
        files.patiently(lambda: partial.replace(path))


def _fill(
    partial: Path, shape: tuple[int, int, int], rows: NDArray[np.void], inputs: Iterator[NDArray[np.uint8]]
) -> None:
    with partial.open("r+b", buffering=0) as stream:
        _take_room(stream, _start(len(rows)) + len(rows) * int(np.prod(shape)))
        stream.seek(_start(len(rows)))
        done = progress.track(inputs, "decoding images once for all epochs", total=len(rows))
        for i, pixels in enumerate(done):
            data = pixels.tobytes()
            rows["crc"][i] = zlib.crc32(data)
            _write_all(stream, data)
        table = rows.tobytes()
        stream.seek(0)
        head = _MAGIC + len(rows).to_bytes(8, "little")
        _write_all(stream, head + table + zlib.crc32(table).to_bytes(4, "little"))


def _take_room(stream: io.FileIO, size: int) -> None:
    """Allocate the whole file at once, so that a full disk is found before the work."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(stream.fileno(), 0, size)
    elif (
        shutil.disk_usage(Path(os.fsdecode(stream.name)).parent).free < size
    ):  # Windows and macOS cannot allocate, only report
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _write_all(stream: io.FileIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[stream.write(view) :]


@contextmanager
def _partial(path: Path) -> Iterator[Path]:
    """A new file beside ``path``, marked as in use while it is written; one without a mark is from a killed process."""
    partial = path.with_name(f"{path.stem}.{uuid.uuid4().hex[:12]}{_PARTIAL}")
    mark = locks.Mark(partial)
    try:
        partial.touch()
        yield partial
    finally:
        partial.unlink(missing_ok=True)
        mark.end()


def _room(folder: Path, path: Path, limit: int) -> int:
    """Bytes that a file at ``path`` may take: at most what other files in use leave, and half of the free disk."""
    others = [file for file in _files(folder) if file != path]
    used = [locks.in_use(file) for file in others]
    in_use = sum(_size(file) for file, held in zip(others, used, strict=True) if held)
    idle = sum(_size(file) for file, held in zip(others, used, strict=True) if not held)
    return min(limit - in_use, (shutil.disk_usage(folder).free + idle + _size(path)) // 2)


def _make_room(folder: Path, path: Path, limit: int) -> None:
    """Remove the file at ``path``, then the least recently used others until they take at most ``limit`` bytes."""
    path.unlink(missing_ok=True)
    left = sorted(_files(folder), key=lambda file: (file.suffix != _PARTIAL, _used(file)))
    total = sum(_size(file) for file in left)
    for file in left:
        if (total > limit or file.suffix == _PARTIAL) and not locks.in_use(file):
            total -= _size(file)
            file.unlink(missing_ok=True)


def _files(folder: Path) -> list[Path]:
    return [file for file in folder.iterdir() if file.suffix in (".inputs", _PARTIAL)]


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def _used(file: Path) -> float:
    return file.stat().st_mtime if file.exists() else 0.0
