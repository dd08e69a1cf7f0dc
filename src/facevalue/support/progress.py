"""Report the progress of long work. Silent unless a reporter is set, as the command line does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sized
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol, TypeVar

from facevalue.support.time_left import Left, TimeLeft

T = TypeVar("T")


class Reporter(Protocol):
    """Receives progress and notes."""

    def start(self, what: str, total: int | None, unit: str) -> int:
        """A task starts; returns its key."""

    def advance(self, key: int, by: int, detail: str, left: Left | None) -> None:
        """``by`` more units of the task are done; ``detail`` is a short figure to show with it."""

    def skip(self, key: int, by: int) -> None:
        """``by`` more units are done that needed no work, so they do not count for the rate."""

    def stop(self, key: int) -> None:
        """The task has ended, finished or not."""

    def note(self, text: str) -> None:
        """One line for the user."""


class Silent:
    """Reports nothing."""

    def start(self, what: str, total: int | None, unit: str) -> int:
        return 0

    def advance(self, key: int, by: int, detail: str, left: Left | None) -> None:
        pass

    def skip(self, key: int, by: int) -> None:
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


_within: ContextVar[str] = ContextVar("facevalue_within", default="")


@contextmanager
def within(part: str) -> Iterator[None]:
    """Inside the block, tasks are named after this part of a larger work, so that no two have the same name."""
    token = _within.set(f"{_within.get()}{part}: ")
    try:
        yield
    finally:
        _within.reset(token)


class Work:
    """A task in progress.

    Parameters
    ----------
    what, total, unit : its name, and the number and name of its units.
    kinds : the number of units of each kind, if some take longer than others; they add up to ``total``.
    uneven : whether the kinds differ so much that each must be measured before the time left is known.
    """

    def __init__(
        self, what: str, total: int | None, unit: str, kinds: Mapping[str, int] | None = None, uneven: bool = False
    ) -> None:
        self._reporter = _current.get()
        totals = kinds if kinds is not None else None if total is None else {"": total}
        self._left = None if totals is None else TimeLeft(totals, uneven=uneven)
        self._key = self._reporter.start(_within.get() + what, total, unit)

    def advance(self, by: int = 1, detail: str = "", kind: str = "") -> None:
        """``by`` more units are done."""
        left = None if self._left is None else self._left.advance(by, kind)
        self._reporter.advance(self._key, by, detail, left)

    def skip(self, by: int = 1, kind: str = "") -> None:
        """``by`` more units are done that needed no work."""
        if self._left is not None:
            self._left.skip(by, kind)
        self._reporter.skip(self._key, by)

    def stop(self) -> None:
        """The task has ended."""
        self._reporter.stop(self._key)


@contextmanager
def work(
    what: str,
    total: int | None = None,
    unit: str = "images",
    *,
    kinds: Mapping[str, int] | None = None,
    uneven: bool = False,
) -> Iterator[Work]:
    """A task of ``total`` units, reported while the block runs; see :class:`Work`."""
    piece = Work(what, sum(kinds.values()) if kinds is not None else total, unit, kinds, uneven)
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
