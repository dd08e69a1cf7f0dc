"""The number of processors and threads to use."""

from __future__ import annotations

from pathlib import Path

import pytest

from facevalue.support import machine


@pytest.mark.parametrize(
    ("limit", "expected"), [("max 100000", 64), ("150000 100000", 2), ("50000 100000", 1), ("", 64), ("0 0 0", 64)]
)
def test_a_container_s_limit_counts(limit: str, expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(64)))
    monkeypatch.setattr(machine, "CPU_MAX", tmp_path / "cpu.max")
    assert machine.cores() == 64
    (tmp_path / "cpu.max").write_text(limit + "\n")
    assert machine.cores() == expected


@pytest.mark.parametrize(
    ("told", "expected"), [("1", 1), ("3", 3), ("9", 4), ("", 4), ("0", 4), ("many", 4), ("2,1", 4)]
)
def test_arithmetic_takes_no_more_threads_than_told(told: str, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "cores", lambda: 4)
    monkeypatch.setenv("OMP_NUM_THREADS", told)
    assert machine.threads() == expected
