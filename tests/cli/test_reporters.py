"""Progress: nothing for short work, lines outside a terminal, bars on a terminal, never on standard output."""

from __future__ import annotations

import io
import re
import time

from rich.console import Console

from facevalue.cli.common.reporters import Bars, Lines, PatientReporter, duration, reporter_for, speed
from facevalue.support import progress


def lines_of(reporter: PatientReporter) -> list[str]:
    stream = reporter.console.file
    assert isinstance(stream, io.StringIO)
    return stream.getvalue().splitlines()


def quiet(**options: float) -> Lines:
    return Lines(Console(file=io.StringIO()), **options)


def test_short_work_has_no_output() -> None:
    with quiet(after=5) as reporter, progress.using(reporter):
        assert list(progress.track(range(100), "counting")) == list(range(100))
    assert lines_of(reporter) == []


def test_long_work_says_how_far_it_is_and_ends_with_a_line() -> None:
    with quiet(after=0.05, every=0.1) as reporter, progress.using(reporter), progress.work("reading", 20) as piece:
        for i in range(20):
            time.sleep(0.025)
            piece.advance(detail=f"loss {i}")
    first, *middle, last = lines_of(reporter)
    assert re.fullmatch(r"reading: \d+ of 20 images, [\d.]+/s(, \d s left)?, loss \d+|reading …", first)
    assert re.fullmatch(r"reading: \d+ of 20 images, [\d.]+/s, \d s left, loss \d+", middle[-1])
    assert 1 <= len(middle) <= 12  # a busy machine sleeps longer than requested
    assert re.fullmatch(r"reading: 20 images in \d\.\d s, [\d.]+/s, loss 19", last)


def test_work_that_never_advances_is_named() -> None:
    with quiet(after=0.05) as reporter, progress.using(reporter), progress.work("exporting"):
        time.sleep(0.3)
    assert lines_of(reporter)[0] == "exporting …"
    assert lines_of(reporter)[1].startswith("exporting: 0.")


def test_nested_work_is_named_separately() -> None:
    with (
        quiet(after=0.1, every=10) as reporter,
        progress.using(reporter),
        progress.work("epochs", 3, "epochs") as outer,
    ):
        for _ in range(3):
            for _ in progress.track(range(3), "batches", unit="batches"):
                time.sleep(0.01)
            time.sleep(0.05)
            outer.advance()
    assert all(line.startswith("epochs") for line in lines_of(reporter))


def test_an_error_stops_the_timers() -> None:
    reporter = quiet(after=0.05)
    try:
        with reporter, progress.using(reporter), progress.work("failing"):
            raise KeyError
    except KeyError:
        pass
    time.sleep(0.15)
    assert lines_of(reporter) == []


def test_notes_are_lines_as_they_stand() -> None:
    with quiet() as reporter, progress.using(reporter):
        progress.note("warning: [red]not markup[/red] " + "x" * 300)
    assert lines_of(reporter) == ["warning: [red]not markup[/red] " + "x" * 300]


def test_a_terminal_gets_bars() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=120, legacy_windows=False)
    with reporter_for(console) as reporter:
        assert isinstance(reporter, Bars)
    bars = Bars(console, after=0.05)
    with bars, progress.using(bars), progress.work("reading", 10) as piece:
        for _ in range(10):
            time.sleep(0.06)
            piece.advance(detail="loss 0.5")
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "━" in text
    assert re.search(r"\d+ of 10 images, [\d.]+/s, 1 s left, loss 0\.5", text)
    assert re.search(r"reading: 10 images in \d\.\d s", text)
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h")  # the cursor is back


def test_elsewhere_it_is_lines() -> None:
    assert isinstance(reporter_for(Console(file=io.StringIO())), Lines)


def test_times_and_speeds_for_people() -> None:
    assert [duration(x) for x in (0, 59.94, 59.96, 60, 3599.6, 7384)] == [
        "0.0 s",
        "59.9 s",
        "1 min 0 s",
        "1 min 0 s",
        "1 h 0 min",
        "2 h 3 min",
    ]
    assert [speed(x) for x in (99.96, 100, 1, 0.5)] == ["100.0/s", "100/s", "1.0/s", "2.0 s each"]
