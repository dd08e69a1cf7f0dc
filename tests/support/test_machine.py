"""Processors, threads and memory of this machine."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
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


WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "OPENBLAS_THREAD_TIMEOUT")


def test_idle_threads_sleep_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in WAITING:
        monkeypatch.setenv(name, "")  # so that the environment is restored afterwards
        monkeypatch.delenv(name)
    assert machine.wait_briefly()
    assert {name: os.environ.get(name) for name in WAITING} == dict(zip(WAITING, (None, "1000", "20"), strict=True))


@pytest.mark.parametrize("name", WAITING)
def test_what_the_user_says_of_waiting_stays(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for other in WAITING:
        monkeypatch.setenv(other, "")
        monkeypatch.delenv(other)
    monkeypatch.setenv(name, "7")
    assert not machine.wait_briefly()
    assert {other: os.environ[other] for other in WAITING if other in os.environ} == {name: "7"}


def test_large_arrays_are_zeros_of_the_asked_kind() -> None:
    for shape, kind in (((3, 4, 5), np.float32), ((2, 2), np.float64), ((0, 7), np.float32)):
        found = machine.large_array(shape, kind)
        assert found.shape == shape
        assert found.dtype == kind
        assert found.flags.writeable
        assert not found.any()


SCENE = """
from pathlib import Path
import numpy as np
from facevalue.support import machine

def resident():
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) // 1024

machine.keep_memory()
one = MAKE((64, 2**20), np.uint8)
one[:] = 1
full = resident()
del one
print(full - resident())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="reads /proc and needs glibc")
@pytest.mark.parametrize(("make", "freed"), [("machine.large_array", True), ("np.ones", False)])
def test_large_arrays_are_returned_even_where_memory_is_kept(make: str, freed: bool) -> None:
    """64 MB go back to the kernel; those of an ordinary array stay, which shows that memory was indeed kept."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    done = subprocess.run(
        [sys.executable, "-c", SCENE.replace("MAKE", make)], check=True, capture_output=True, text=True, env=own
    )
    assert (int(done.stdout) > 60) == freed
