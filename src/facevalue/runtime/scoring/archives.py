"""Images in tar archives, WebDataset shards among them, read as a stream."""

from __future__ import annotations

import gzip
import lzma
import tarfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import PurePosixPath
from tarfile import EOFHeaderError, HeaderError, ReadError  # type: ignore[attr-defined] # typeshed lacks the first
from typing import IO, Self

from facevalue.errors import FaceValueError, ImageError
from facevalue.images.signatures import HEAD, image_format
from facevalue.images.walker import HIDDEN, LEFTOVER, NOT_AN_IMAGE, SUFFIXES, is_hidden, is_leftover
from facevalue.runtime.scoring.items import Item, Skipped

ENDINGS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
"""Ends of the names of archives."""

MOST_BYTES = 1 << 30
"""Largest file in an archive that is read into memory."""


_ENDS_EARLY = "it ends early, or the header of a file in it is damaged"


class _Header(tarfile.TarInfo):
    """A damaged or missing header is an error. :class:`tarfile.TarFile` itself takes it for the end of the archive."""

    @classmethod
    def fromtarfile(cls, tarfile: tarfile.TarFile) -> Self:
        try:
            return super().fromtarfile(tarfile)
        except EOFHeaderError:  # the two empty blocks at the end of every whole archive
            raise
        except HeaderError as error:
            raise ReadError(_ENDS_EARLY) from error


def is_archive(name: str) -> bool:
    """Whether a path or address ends as an archive's.

    >>> is_archive("train-0001.TAR.gz"), is_archive("photo.jpg")
    (True, False)
    """
    return name.lower().endswith(ENDINGS)


def images(
    name: str, opened: Callable[[], IO[bytes]], wanted: Callable[[str], bool], skipped: Skipped
) -> Iterator[Item]:
    """The images of an archive, in its order; each must be loaded before the next is asked for.

    A damaged archive ends with an item that says so.

    Parameters
    ----------
    name : of the archive; an image is named ``NAME/MEMBER``.
    wanted : whether a member is in this shard.

    Raises
    ------
    FaceValueError
        The archive cannot be read to its end, for another reason than damage.
    """
    try:
        with opened() as stream:
            # A local file is searched, so that images of other shards are not read; a stream is read through.
            mode = "r:*" if stream.seekable() else "r|*"
            with tarfile.open(fileobj=stream, mode=mode, tarinfo=_Header) as archive:  # type: ignore[call-overload]
                yield from _members(name, archive, wanted, skipped)
                _read_to_end(archive)
    except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError) as error:
        yield _damaged(name, f"the archive is damaged: {error or 'it ends early'}")
    except OSError as error:
        if _says_damaged(error):
            yield _damaged(name, f"the archive is damaged: {error}")
            return
        if isinstance(error, FileNotFoundError | IsADirectoryError | PermissionError):
            yield _damaged(name, f"cannot be read: {error.strerror or error}")
            return
        raise FaceValueError(f"{name} cannot be read to its end: {error}; run the same again to go on") from error


def _members(name: str, archive: tarfile.TarFile, wanted: Callable[[str], bool], skipped: Skipped) -> Iterator[Item]:
    while (member := archive.next()) is not None:
        archive.members = []  # type: ignore[attr-defined] # else it would remember all members
        path = f"{name}/{member.name}"
        reason = _not_read(member)
        if reason is not None:
            skipped.add(path, reason)
        if reason is not None or member.isdir() or not wanted(member.name):
            continue
        load = partial(_whole, archive, member)
        if PurePosixPath(member.name).suffix.lower() not in SUFFIXES:
            data = load() if member.size <= MOST_BYTES else b""
            if image_format(data[:HEAD]) is None:
                skipped.add(path, NOT_AN_IMAGE)
                continue
            load = partial(bytes, data)
        yield Item(path, member.name, load, in_turn=True)


def _read_to_end(archive: tarfile.TarFile) -> None:
    """Read what follows the last file: the checksum of a compressed archive is at its end."""
    stream = archive.fileobj
    while stream.read(1 << 20):
        pass


def _not_read(member: tarfile.TarInfo) -> str | None:
    if member.isdir():
        return None
    if not member.isreg():
        return "is not a file"
    parts = PurePosixPath(member.name).parts
    if any(is_hidden(part) for part in parts):
        return HIDDEN
    return LEFTOVER if any(is_leftover(part) for part in parts) else None


def _whole(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    if member.size > MOST_BYTES:
        raise ImageError(f"has {member.size:,} bytes, more than the {MOST_BYTES:,} allowed")
    stream = archive.extractfile(member)
    assert stream is not None  # a regular file
    try:
        with stream:
            return stream.read()
    except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise ImageError("is truncated") from error
    except OSError as error:
        if _says_damaged(error):
            raise ImageError("is damaged in the archive") from error
        raise


def _says_damaged(error: OSError) -> bool:
    """Whether a decompressor failed and not the storage: bz2 has no class of its own for damage."""
    return isinstance(error, gzip.BadGzipFile) or str(error) == "Invalid data stream"


def _damaged(name: str, reason: str) -> Item:
    def load() -> bytes:
        raise ImageError(reason)

    return Item(name, name, load)
