"""Locks that other processes see, on every system; a process that ends, however it ends, gives its locks back."""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

_MARK = ".use"


@contextmanager
def alone(path: Path) -> Iterator[bool]:
    """Hold the lock file ``path`` for the block; yields False, and holds nothing, where another process holds it.

    The file is there only while it is held. Where the file system knows no locks nothing is held either, but the answer
    is True: the work goes on.
    """
    lock = FileLock(path, thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    except (OSError, NotImplementedError):
        yield True
        return
    try:
        yield True
    finally:
        _end(lock, path)


def _end(lock: BaseFileLock, path: Path) -> None:
    # Removed while it is held, so that nobody takes a file that is about to go. Windows removes no open file; there it
    # goes afterwards, unless another has taken it.
    try:
        path.unlink()
    except OSError:
        lock.release()
        with suppress(OSError):
            path.unlink()
    else:
        lock.release()


class Mark:
    """Says that a file is in use, until :meth:`end` or the end of the process.

    The mark is a locked file of its own, ``NAME.TOKEN.use`` beside the file ``NAME``: neither Windows nor macOS offers
    a lock that several readers share and that leaves the file readable for others.

    Raises
    ------
    OSError
        The folder cannot be written to, or its file system knows no locks.
    """

    def __init__(self, path: Path) -> None:
        self._process = os.getpid()
        while True:
            mark = path.with_name(f"{path.name}.{uuid.uuid4().hex[:12]}{_MARK}")
            self._lock, self._path = FileLock(mark, thread_local=False), mark
            try:
                self._lock.acquire()
            except NotImplementedError as error:
                raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK)) from error
            if mark.exists():  # else someone took it for a dead one's before it was locked
                return
            self._lock.release()

    def end(self) -> None:
        """Take the mark away; a forked process leaves its parent's alone."""
        if os.getpid() == self._process:
            _end(self._lock, self._path)


def in_use(path: Path) -> bool:
    """Whether a living process, this one too, has marked the file; marks of dead ones are removed."""
    used = False
    for mark in path.parent.glob(f"{path.name}.*{_MARK}"):
        with alone(mark) as dead:
            used = used or not dead
    return used
