"""Show progress on standard error: bars on a terminal, otherwise a plain line from time to time."""

from __future__ import annotations

import math
import threading
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self, final

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.text import Text

from facevalue.cli.common import flags
from facevalue.support.time_left import Left

_MOMENT = 1e-9


@dataclass
class Piece:
    """One task in progress.

    Attributes
    ----------
    done, skipped : units so far, and how many of them needed no work.
    first, last : times of the first and the last step, and ``begun``, the units at the first.
    """

    what: str
    total: int | None
    unit: str
    started: float = field(default_factory=time.monotonic)
    done: int = 0
    skipped: int = 0
    first: float | None = None
    last: float = 0.0
    begun: int = 0
    detail: str = ""
    left: Left | None = None
    visible: bool = False
    last_shown: float = 0.0
    timer: threading.Timer | None = None

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    def advance(self, by: int, detail: str, left: Left | None) -> None:
        """``by`` more units are done."""
        self.done += by
        self.detail = detail
        self.left = left
        if by:
            self.last = time.monotonic()
            if self.first is None:
                self.first, self.begun = self.last, by

    def rate(self) -> float:
        """Units per second so far, without those that needed no work and without the time before the first step."""
        worked = self.done - self.skipped
        if self.first is None or self.last - self.first < _MOMENT:
            return worked / max(self.last - self.started, _MOMENT)
        return (worked - self.begun) / (self.last - self.first)

    def line(self) -> str:
        """Progress as one line: count, rate, time left, detail."""
        if not self.done:
            return f"{self.what}{f': {self.detail}' if self.detail else ' …'}"
        parts = [f"{self.done:,}" + (f" of {self.total:,}" if self.total else "") + f" {self.unit}"]
        if self.done > self.skipped:
            parts.append(speed(self.rate()))
        if self.left is not None and self.total and self.done < self.total:
            parts.append(f"{'over ' if self.left.at_least else ''}{about(self.left.seconds)} left")
        return f"{self.what}: {', '.join([*parts, *([self.detail] if self.detail else [])])}"

    def last_line(self) -> str:
        """Summary at the end: count, duration and rate."""
        worked = self.done - self.skipped
        took = f"{self.what}: " + (f"{self.done:,} {self.unit} in " if self.done else "") + duration(self.seconds)
        rate = f", {speed(worked / max(self.seconds, _MOMENT))}" if worked else ""
        return took + rate + (f", {self.detail}" if self.detail else "")


class PatientReporter(ABC):
    """A :class:`facevalue.support.progress.Reporter` that shows only tasks that take longer than ``after`` seconds.

    Each task has a timer, so that a task that never advances is shown too.
    """

    def __init__(self, console: Console, after: float) -> None:
        self.console = console
        self.after = after
        self.lock = threading.RLock()
        self._pieces: dict[int, Piece] = {}
        self._next = 0

    @abstractmethod
    def show(self, key: int, piece: Piece) -> None:
        """Show a task that has run for ``after`` seconds."""

    @abstractmethod
    def moved(self, key: int, piece: Piece) -> None:
        """A visible task has advanced."""

    @abstractmethod
    def over(self, key: int, piece: Piece) -> None:
        """A visible task has ended."""

    @final
    def start(self, what: str, total: int | None, unit: str) -> int:
        """Start a task; returns its key."""
        with self.lock:
            self._next += 1
            key, piece = self._next, Piece(what, total, unit)
            self._pieces[key] = piece
            piece.timer = threading.Timer(self.after, self._make_visible, [key])
            piece.timer.daemon = True
            piece.timer.start()
            return key

    @final
    def advance(self, key: int, by: int, detail: str, left: Left | None) -> None:
        """``by`` more units are done."""
        with self.lock:
            piece = self._pieces[key]
            piece.advance(by, detail, left)
            if piece.visible:
                self.moved(key, piece)

    @final
    def skip(self, key: int, by: int) -> None:
        """``by`` more units needed no work."""
        with self.lock:
            piece = self._pieces[key]
            piece.done += by
            piece.skipped += by
            if piece.visible:
                self.moved(key, piece)

    @final
    def stop(self, key: int) -> None:
        """End a task; a visible one leaves a line."""
        with self.lock:
            piece = self._pieces.pop(key)
            if piece.timer:
                piece.timer.cancel()
            if piece.visible:
                self.over(key, piece)
                self.note(piece.last_line())

    @final
    def note(self, text: str) -> None:
        """Print one line."""
        with self.lock:
            self.console.print(flags.translated(text), markup=False, highlight=False, soft_wrap=True)

    @final
    def _make_visible(self, key: int) -> None:
        with self.lock:
            piece = self._pieces.get(key)
            if piece is not None:  # it may have ended while the timer waited for the lock
                piece.visible = True
                self.show(key, piece)

    def __enter__(self) -> Self:
        return self

    @final
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self.lock:
            for piece in self._pieces.values():
                if piece.timer:
                    piece.timer.cancel()
            self._pieces.clear()
            self.close()

    @abstractmethod
    def close(self) -> None:
        """Restore the terminal."""


@final
class Lines(PatientReporter):
    """Plain lines: the first after ``after`` seconds, then one every ``every`` seconds, and one at the end."""

    def __init__(self, console: Console, after: float = 2.0, every: float = 10.0) -> None:
        super().__init__(console, after)
        self.every = every

    def show(self, key: int, piece: Piece) -> None:
        piece.last_shown = time.monotonic()
        self.note(piece.line())

    def moved(self, key: int, piece: Piece) -> None:
        if time.monotonic() - piece.last_shown >= self.every:
            self.show(key, piece)

    def over(self, key: int, piece: Piece) -> None:
        pass

    def close(self) -> None:
        pass


@final
class Bars(PatientReporter):
    """Bars with count, rate, time left and detail, for work that lasts over ``after`` seconds."""

    def __init__(self, console: Console, after: float = 1.0) -> None:
        super().__init__(console, after)
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            _Facts(),
            console=console,
            transient=True,
            redirect_stdout=False,  # results go to standard output, never through here
            refresh_per_second=5,
        )
        self._tasks: dict[int, TaskID] = {}

    def show(self, key: int, piece: Piece) -> None:
        self._tasks[key] = self._bars.add_task(piece.what, total=piece.total or None, completed=piece.done, piece=piece)
        self._bars.start()

    def moved(self, key: int, piece: Piece) -> None:
        self._bars.update(self._tasks[key], completed=piece.done)

    def over(self, key: int, piece: Piece) -> None:
        self._bars.remove_task(self._tasks.pop(key))
        if not self._tasks:
            self.close()

    def close(self) -> None:
        self._bars.stop()


class _Facts(ProgressColumn):
    """Column with count, rate, time left and detail."""

    def render(self, task: Task) -> Text:
        piece: Piece = task.fields["piece"]
        return Text(piece.line().removeprefix(piece.what).lstrip(": "))


def reporter_for(console: Console) -> PatientReporter:
    """Bars if ``console`` is a terminal that can move its cursor, else lines."""
    return Bars(console) if console.is_terminal and not console.is_dumb_terminal else Lines(console)


def duration(seconds: float) -> str:
    """A duration as text.

    >>> [duration(x) for x in (0.25, 8.2, 75, 3725)]
    ['0.2 s', '8.2 s', '1 min 15 s', '1 h 2 min']
    """
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def about(seconds: float) -> str:
    """A duration that is an estimate, as text of about two digits.

    >>> [about(x) for x in (0.3, 8.2, 47, 75, 1234, 7384)]
    ['1 s', '9 s', '50 s', '1 min 20 s', '21 min', '2 h 10 min']
    """
    if seconds <= 10:
        return f"{max(1, math.ceil(seconds))} s"
    if seconds <= 300:
        minutes, rest = divmod(10 * math.ceil(seconds / 10), 60)
        return " ".join([*([f"{minutes} min"] if minutes else []), *([f"{rest} s"] if rest else [])])
    if seconds <= 3600:
        return f"{math.ceil(seconds / 60)} min"
    hours, rest = divmod(10 * math.ceil(seconds / 600), 60)
    return f"{hours} h" + (f" {rest} min" if rest else "")


def speed(rate: float) -> str:
    """Units per second as text, or time per unit below one per second.

    >>> [speed(x) for x in (1234.5, 12.34, 0.25)]
    ['1,234/s', '12.3/s', '4.0 s each']
    """
    if rate >= 100:
        return f"{rate:,.0f}/s"
    return f"{rate:.1f}/s" if rate >= 1 else f"{duration(1 / max(rate, 1e-9))} each"
