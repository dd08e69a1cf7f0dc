"""Write files and folders atomically: under another name first, then renamed to the target."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from facevalue.errors import FaceValueError, UsageError
from facevalue.support import names

NO_ROOM = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "a file exceeds the size limit (ulimit -f)",
}
"""Errors of the system that concern every file, with their words."""


def check_writable(target: Path) -> None:
    """Check that a file or folder can be created at ``target``: before the work, which may take hours, not after it.

    Raises
    ------
    UsageError
        The nearest existing parent is not writable or not a folder.
    """
    near = next((p for p in target.absolute().parents if p.exists()), Path(target.absolute().anchor))
    if not near.is_dir() or not os.access(near, os.W_OK | os.X_OK):
        raise UsageError(f"{near} cannot be written to")


@contextmanager
def _disk_errors(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in NO_ROOM:
            raise FaceValueError(
                f"{NO_ROOM[error.errno]}: {target} was not written; free some space and run again"
            ) from error
        if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
            choose = "close what has it open, or choose another place" if os.name == "nt" else "choose another place"
            raise UsageError(f"{target} cannot be written: {os.strerror(error.errno)}; {choose}") from error
        if error.errno == errno.ENAMETOOLONG:
            raise UsageError(f"{target} cannot be written: the name is too long; choose a shorter one") from error
        if isinstance(error, IsADirectoryError | NotADirectoryError | FileExistsError):
            raise UsageError(f"{target} cannot be written: a file or folder is in the way") from error
        raise


@contextmanager
def replacing_file(target: Path) -> Iterator[Path]:
    """Yield a temporary path next to ``target``; it replaces ``target`` if the block succeeds, else it is removed.

    A link stays a link: the file it points to is replaced. A device or a pipe (``/dev/null``, ``>(command)``) is
    written to, never replaced.
    """
    target = target.resolve()
    with _disk_errors(target):
        if target.exists() and not target.is_file() and not target.is_dir():
            with tempfile.TemporaryDirectory(prefix="facevalue-") as folder:
                whole = Path(folder) / target.name
                yield whole
                with whole.open("rb") as read, target.open("wb") as write:
                    shutil.copyfileobj(read, write)
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{_start(target)}.", suffix=_ending(target))
        os.close(handle)
        partial = Path(name)
        try:
            yield partial
            partial.chmod(0o644)
            patiently(lambda: partial.replace(target))
        finally:
            partial.unlink(missing_ok=True)


@contextmanager
def replacing_folder(target: Path) -> Iterator[Path]:
    """Yield an empty folder next to ``target``; it replaces ``target`` if the block succeeds, else it is removed.

    An existing folder at ``target`` is moved aside and removed only when the new one is in place. A link stays a link.
    """
    target = target.resolve()
    with _disk_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{_start(target)}."))
        old = partial.with_name(partial.name + ".old")
        try:
            yield partial
            partial.chmod(0o755)
            try:
                if target.exists():
                    patiently(lambda: target.rename(old))
                patiently(lambda: partial.rename(target))
            except BaseException:  # also after Ctrl-C between the two renames
                if old.exists() and not target.exists():
                    old.rename(target)
                raise
            shutil.rmtree(old, ignore_errors=True)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
            if target.exists():  # Ctrl-C may have stopped the removal above
                shutil.rmtree(old, ignore_errors=True)


def patiently(move: Callable[[], object]) -> None:
    """Move or remove a file; on Windows, try again for a second if another program has it open.

    Virus scanners and indexers open every new file for a moment. On other systems an open file can be moved, so an
    error is final.
    """
    for pause in (0.01, 0.05, 0.2, 0.7) if os.name == "nt" else ():
        with contextlib.suppress(PermissionError):
            move()
            return
        time.sleep(pause)
    move()


def _start(target: Path) -> str:
    """The beginning of a name, so that there is room for a prefix and a suffix in the 255 bytes of a file name."""
    return names.portable(target.name, 100)


def _ending(target: Path) -> str:
    return target.suffix if len(target.suffix) <= 16 and target.suffix.isascii() else ""


def as_text(name: str) -> str:
    r"""A file name as valid UTF-8; other bytes are written as ``\\xff``.

    >>> as_text("caf\udce9.png")
    'caf\\udce9.png'
    """
    return name.encode("utf-8", "backslashreplace").decode()


def write_text(target: Path, text: str) -> None:
    """Write ``text`` as UTF-8, whole or not at all; the same bytes on every system."""
    with replacing_file(target) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")


def write_json(target: Path, value: Any) -> None:
    """Write ``value`` as indented JSON, whole or not at all. NaN and infinity are an error."""
    write_text(target, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_toml(path: Path, named: str) -> dict[str, Any]:
    """Read a TOML file; ``named`` is its name in messages.

    Raises
    ------
    UsageError
        The file cannot be read or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{named} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"{named} is not TOML: {' '.join(str(error).split())}") from error


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def cache_folder() -> Path:
    """The cache folder: ``FACEVALUE_CACHE``, else ``facevalue`` in the user's cache folder.

    On Linux that is ``XDG_CACHE_HOME``, else ``~/.cache``. All files in it can be made again.
    """
    from platformdirs import user_cache_path

    own = os.environ.get("FACEVALUE_CACHE")
    return Path(own) if own else user_cache_path("facevalue", appauthor=False)
