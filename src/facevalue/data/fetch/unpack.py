"""Unpack untrusted archives safely: only regular files, only inside the folder, only up to a size limit."""

from __future__ import annotations

import gzip
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from facevalue.errors import DataError
from facevalue.support import progress

_CHUNK = 1 << 20
_MOST_MEMBERS = 1_000_000
_DAMAGED = (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, EOFError)


@dataclass(frozen=True)
class _Member:
    name: str
    bytes: int
    kind: str  # "" for a regular file, else what it is
    entry: Any  # the record of zipfile or tarfile


def unpack(archive: Path, folder: Path, within: str = "", most: int = 1 << 33) -> int:
    """Write the files of ``archive`` below ``within`` into ``folder``; returns their number.

    All names are checked before anything is written. Files that macOS adds are left out (``__MACOSX``, ``._*``,
    ``.DS_Store``).

    Parameters
    ----------
    archive : zip, or tar with any compression that Python supports.
    folder : new files are written to it; no file is replaced.
    within : a folder in the archive; its name is dropped from the paths.
    most : bytes that may be written.

    Raises
    ------
    DataError
        The archive is damaged or of another format; it holds links, devices, encrypted files or paths that lead
        outside; it holds a file twice; it unpacks to more than ``most`` bytes; or it has nothing below ``within``.
    """
    with _damage_as_error(archive), _opened(archive) as (members, read):
        chosen: list[tuple[Path, _Member]] = []
        total = 0
        for member in members:
            if len(chosen) >= _MOST_MEMBERS:
                raise DataError(f"{archive.name} was refused: it holds more than {_MOST_MEMBERS:,} files")
            target = _target(archive, member, within)
            if target is None:
                continue
            total += member.bytes
            if total > most:
                raise DataError(f"{archive.name} was refused: it unpacks to more than the {most:,} bytes allowed")
            chosen.append((folder / target, member))
        if not chosen:
            raise DataError(f"{archive.name} holds no files" + (f" below {within}" if within else ""))
        for path, member in progress.track(chosen, f"unpacking {archive.name}", unit="files"):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with read(member) as source, path.open("xb") as write:
                    _copy(archive, source, write, member.bytes)
            except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
                raise DataError(f"{archive.name} was refused: it holds {member.name!r} twice") from error
    return len(chosen)


@contextmanager
def _damage_as_error(archive: Path) -> Iterator[None]:
    try:
        yield
    except _DAMAGED as error:
        raise DataError(f"{archive.name} is damaged: {' '.join(str(error).split()) or type(error).__name__}") from error


@contextmanager
def _opened(archive: Path) -> Iterator[tuple[Iterable[_Member], Callable[[_Member], IO[bytes]]]]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as packed:
            listed = (i for i in packed.infolist() if not i.is_dir())
            members = (_Member(i.filename, i.file_size, _zip_kind(i), i) for i in listed)
            yield members, lambda member: packed.open(member.entry)
    elif tarfile.is_tarfile(archive):
        with tarfile.open(archive) as packed_tar:
            members = (_Member(i.name, i.size, _tar_kind(i), i) for i in packed_tar if not i.isdir())
            yield members, lambda member: _inside(packed_tar, member)
    else:
        raise DataError(f"{archive.name} is neither a zip nor a tar archive")


def _inside(packed: tarfile.TarFile, member: _Member) -> IO[bytes]:
    stream = packed.extractfile(member.entry)
    assert stream is not None  # only regular files get here
    return stream


def _zip_kind(info: zipfile.ZipInfo) -> str:
    kind = stat.S_IFMT(info.external_attr >> 16)
    if info.flag_bits & 1:
        return "an encrypted file"
    return "" if kind in (0, stat.S_IFREG, stat.S_IFDIR) else "a link" if kind == stat.S_IFLNK else "a device"


def _tar_kind(info: tarfile.TarInfo) -> str:
    return "" if info.isfile() else "a link" if info.islnk() or info.issym() else "a device"


def _target(archive: Path, member: _Member, within: str) -> Path | None:
    """The relative path a member is written to; ``None`` for one that is left out."""
    name = member.name
    parts = [p for p in name.split("/") if p not in ("", ".")]
    if name.startswith("/") or "\\" in name or "\0" in name or ".." in parts or (parts and ":" in parts[0]):
        raise DataError(f"{archive.name} was refused: {name!r} leads out of its folder")
    if member.kind:
        raise DataError(f"{archive.name} was refused: {name!r} is {member.kind}")
    if not parts or parts[0] == "__MACOSX" or parts[-1] == ".DS_Store" or parts[-1].startswith("._"):
        return None
    top = [p for p in within.split("/") if p]
    if parts[: len(top)] != top or len(parts) == len(top):
        return None
    return Path(*parts[len(top) :])


def _copy(archive: Path, source: IO[bytes], target: IO[bytes], size: int) -> None:
    # The size in the archive's directory may be wrong: no more than that is written.
    left = size
    while chunk := source.read(_CHUNK):
        left -= len(chunk)
        if left < 0:
            raise DataError(f"{archive.name} was refused: a file in it is longer than its entry states")
        target.write(chunk)
    if left:
        raise DataError(f"{archive.name} is damaged: a file in it is shorter than its entry states")
