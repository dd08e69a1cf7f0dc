"""Locks between processes, on every system. A process that ends, even by a crash, releases its locks."""

from __future__ import annotations

import errno
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

_MARK = ".use"


@contextmanager
def alone(path: Path, wait: float = 0.0) -> Iterator[bool]:
    """Hold the lock file ``path`` during the block; yields False, without a lock, if another process holds it.

    The file exists only while the lock is held, or after a process was killed; such a file does not block. If the
    file system does not support locks or the folder is read-only, it yields True without a lock, so that the work
    goes on.

    Parameters
    ----------
    wait : seconds to wait for the other process.
    """
    lock = FileLock(path, thread_local=False)
    try:
        _acquire(lock, path, wait)
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


def _acquire(lock: BaseFileLock, path: Path, wait: float) -> None:
    until = time.monotonic() + wait
    while True:
        lock.acquire(timeout=max(0.0, until - time.monotonic()))
        if path.exists():
            return
        lock.release()  # another process removed the file after we had opened it


def _end(lock: BaseFileLock, path: Path) -> None:
    # Removed while it is held, so that no process locks a file that is about to be removed. Windows cannot remove an
    # open file; there it is removed afterwards, unless another process has locked it.
    try:
        path.unlink()
    except OSError:
        lock.release()
        with suppress(OSError):
            path.unlink()
    else:
        lock.release()


class Mark:
    """Marks a file as in use, until :meth:`end` or the end of the process.

    The mark is a separate locked file, ``NAME.TOKEN.use`` next to the file ``NAME``: Windows and macOS have no lock
    that several readers can share and that leaves the file readable.

    Raises
    ------
    OSError
        The folder is not writable, or its file system does not support locks.
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
            if mark.exists():  # else another process removed it as stale before it was locked
                return
            self._lock.release()

    def end(self) -> None:
        """Remove the mark; a forked process does not remove its parent's."""
        if os.getpid() == self._process:
            _end(self._lock, self._path)


def in_use(path: Path) -> bool:
    """Whether a running process, including this one, has marked the file; stale marks are removed."""
    used = False
    for mark in path.parent.glob(f"{path.name}.*{_MARK}"):
        with alone(mark) as dead:
            used = used or not dead
    return used
