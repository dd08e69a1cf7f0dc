"""Images behind addresses such as ``s3://``, ``gs://``, ``hf://``, ``https://`` and ``memory://``, through fsspec."""

from __future__ import annotations

import importlib
import time
from collections.abc import Iterator
from functools import partial
from pathlib import PurePosixPath
from typing import IO, Any, cast

from facevalue.errors import ImageError, MissingExtraError, UsageError
from facevalue.images.walker import NOT_AN_IMAGE, SUFFIXES, is_hidden, is_leftover
from facevalue.runtime.scoring.items import Item, Skipped

PROTOCOLS = ("s3", "gs", "gcs", "az", "abfs", "hf", "http", "https", "memory", "ftp", "sftp")
"""Of the addresses that are read."""

PAUSES = (0.5, 2.0, 8.0)
"""Seconds to wait before a storage that failed is asked again."""


def is_address(text: str) -> bool:
    """Whether a source is an address and not a path.

    >>> is_address("s3://bucket/images"), is_address("images/a.jpg")
    (True, False)
    """
    return text.partition("://")[0].lower() in PROTOCOLS and "://" in text


def opened(address: str) -> IO[bytes]:
    """A stream of the bytes behind an address, to be read once from the start."""
    files, path = _found(address)
    return cast("IO[bytes]", files.open(path, "rb", block_size=2**22, cache_type="readahead"))


def read(address: str) -> bytes:
    """The bytes behind an address.

    Raises
    ------
    ImageError
        There is nothing, or it cannot be reached.
    """
    return _read(*_found(address))


def items(address: str, skipped: Skipped) -> Iterator[Item]:
    """The images of a folder, sorted by name, or the one image at this address.

    Images in a folder are recognised by their suffix: opening every other file would cost a request each.

    Raises
    ------
    UsageError
        The storage cannot be listed.
    """
    files, root = _found(address)
    protocol = address.partition("://")[0]
    suffix = PurePosixPath(address.partition("?")[0]).suffix.lower()
    # A web server has no folders, so an address there is one image.
    if suffix in SUFFIXES or protocol.lower() in ("http", "https"):
        yield Item(address, address.rpartition("/")[2], partial(read, address))
        return
    try:
        found = sorted(files.find(root))
    except Exception as error:  # each storage has its own classes of errors
        raise UsageError(f"{address} cannot be listed: {' '.join(str(error).split())}") from error
    if not found:
        raise UsageError(f"there is no file at {address}")
    for path in found:
        key = path.removeprefix(root).lstrip("/") or PurePosixPath(path).name
        name = f"{address.rstrip('/')}/{key}"
        if any(is_hidden(part) or is_leftover(part) for part in PurePosixPath(key).parts):
            skipped.add(name, "is hidden or a system file")
        elif PurePosixPath(path).suffix.lower() in SUFFIXES:
            yield Item(name, key, partial(_read, files, path))
        else:
            skipped.add(name, NOT_AN_IMAGE)


def _read(files: Any, path: str) -> bytes:
    for pause in (*PAUSES, None):
        try:
            return bytes(files.cat_file(path))
        except FileNotFoundError as error:
            raise ImageError("cannot be read: there is no such file") from error
        except Exception as error:  # each storage has its own classes of errors
            if pause is None or isinstance(error, PermissionError):
                text = " ".join(str(error).split()) or type(error).__name__
                raise ImageError(f"cannot be read: {text}") from error
            time.sleep(pause)
    raise AssertionError


def _found(address: str) -> tuple[Any, str]:
    """The file system of an address, and its path there."""
    try:
        fsspec = importlib.import_module("fsspec")
    except ImportError as error:
        raise MissingExtraError("fsspec", "remote") from error
    try:
        files, path = fsspec.core.url_to_fs(address)
    except ImportError as error:
        raise MissingExtraError((error.name or str(error)).partition(".")[0], "remote") from error
    except ValueError as error:
        raise UsageError(f"{address} cannot be read: {error}") from error
    return files, str(path)
