"""Processes that read facts of files give what this process gives."""

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from facevalue.data import facts_pool
from facevalue.data.facts_pool import FactsPool
from facevalue.data.file_facts import facts_of
from facevalue.data.scan import scan

Fill = Callable[..., Path]


@pytest.fixture
def paths(fill: Fill, tmp_path: Path) -> list[str]:
    """Images, and files that cannot be read."""
    folder = fill(tmp_path / "images", "a", "b", n=20)
    (folder / "a/bad.png").write_text("no image")
    (folder / "a/empty.jpg").touch()
    odd = os.fsencode(folder / "b") + b"/odd\xff.png"
    with suppress(OSError):  # not every system has such names
        Path(os.fsdecode(odd)).write_bytes((folder / "b/p00.png").read_bytes())
    return [*sorted(map(str, folder.rglob("*.*g"))), str(folder / "absent.png")]


def refuse(path: Path) -> dict[str, Any]:
    raise AssertionError(f"{path} was read in this process")


def test_facts_from_processes_are_those_of_this_process(paths: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts_pool, "facts_of", refuse)
    expected = [facts_of(Path(path)) for path in paths]
    with FactsPool(2) as pool:
        for n in (len(paths), 0, 1, 9):
            assert list(pool.facts_of(paths[:n])) == expected[:n]


def test_files_of_a_process_that_has_ended_are_read_here(paths: list[str]) -> None:
    expected = [facts_of(Path(path)) for path in paths]
    with FactsPool(2) as pool:
        list(pool.facts_of(paths[:1]))
        pool._running[0].kill()
        pool._running[0].wait()
        for _ in range(2):
            assert list(pool.facts_of(paths)) == expected


@pytest.mark.parametrize("program", ["", "/no/such/python", "echo"])
def test_without_processes_all_files_are_read_here(
    paths: list[str], program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", program)
    with FactsPool(2) as pool:
        assert list(pool.facts_of(paths)) == [facts_of(Path(path)) for path in paths]


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script")
@pytest.mark.parametrize("answer", ["[7, [{}]]", "7", "", "[0, 1, 2]"])
def test_wrong_answers_are_of_no_use(
    answer: str, paths: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Facts of other files would be the worst: each answer has the number of its question."""
    program = tmp_path / "python-wrong"
    program.write_text(f"#!/bin/sh\nread line\nwhile read line; do echo '{answer}'; done\n")
    program.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(program))
    with FactsPool(2) as pool:
        for _ in range(2):
            assert list(pool.facts_of(paths)) == [facts_of(Path(path)) for path in paths]


def test_answers_that_nobody_took_are_not_taken_for_others(paths: list[str]) -> None:
    expected = [facts_of(Path(path)) for path in paths]
    with FactsPool(2) as pool:
        next(iter(pool.facts_of(paths)))  # the rest is asked for, and left
        assert list(pool.facts_of(paths[::-1])) == expected[::-1]


def test_one_processor_needs_no_processes() -> None:
    assert not FactsPool(1).suits(10**6)
    assert FactsPool(2).suits(10**6)
    assert not FactsPool(2).suits(10)


def test_a_scan_by_processes_is_that_by_threads(fill: Fill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = fill(tmp_path / "images", "a", "b", n=20)
    by_threads = scan(folder, fresh=True)
    monkeypatch.setattr(facts_pool, "MANY", 5)
    monkeypatch.setattr(facts_pool.machine, "cores", lambda: 2)
    monkeypatch.setattr("facevalue.data.scan.facts_of", refuse)
    monkeypatch.setattr(facts_pool, "facts_of", refuse)
    pd.testing.assert_frame_equal(scan(folder, fresh=True).table, by_threads.table)
