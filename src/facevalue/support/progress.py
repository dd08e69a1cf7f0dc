"""Report the progress of long work. Silent unless a reporter is set, as the command line does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol, TypeVar

T = TypeVar("T")


class Reporter(Protocol):
    """Receives progress and notes."""

    def start(self, what: str, total: int | None, unit: str) -> int:
        """A task starts; returns its key."""

    def advance(self, key: int, by: int, detail: str) -> None:
        """``by`` more units of the task are done; ``detail`` is a short figure to show with it."""

    def stop(self, key: int) -> None:
        """The task has ended, finished or not."""

    def note(self, text: str) -> None:
        """One line for the user."""


class Silent:
    """Reports nothing."""

    def start(self, what: str, total: int | None, unit: str) -> int:
        return 0

    def advance(self, key: int, by: int, detail: str) -> None:
        pass

    def stop(self, key: int) -> None:
        pass

    def note(self, text: str) -> None:
        pass


_current: ContextVar[Reporter] = ContextVar("facevalue_reporter", default=Silent())  # noqa: B039 - it has no state


@contextmanager
def using(reporter: Reporter) -> Iterator[None]:
    """Send progress to ``reporter`` inside the block."""
    token = _current.set(reporter)
    try:
        yield
    finally:
        _current.reset(token)


class Work:
    """A task in progress."""

    def __init__(self, what: str, total: int | None, unit: str) -> None:
        self._reporter = _current.get()
        self._key = self._reporter.start(what, total, unit)

    def advance(self, by: int = 1, detail: str = "") -> None:
        """``by`` more units are done."""
        self._reporter.advance(self._key, by, detail)

    def stop(self) -> None:
        """The task has ended."""
        self._reporter.stop(self._key)


@contextmanager
def work(what: str, total: int | None = None, unit: str = "images") -> Iterator[Work]:
    """A task of ``total`` units, reported while the block runs."""
    piece = Work(what, total, unit)
    try:
        yield piece
    finally:
        piece.stop()


def track(items: Iterable[T], what: str, total: int | None = None, unit: str = "images") -> Iterator[T]:
    """Yield ``items`` and report each as one unit.

    >>> list(track([1, 2], "counting"))
    [1, 2]
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    with work(what, total, unit) as piece:
        for item in items:
            yield item
            piece.advance()


def note(text: str) -> None:
    """Report one line to the user."""
    _current.get().note(text)
