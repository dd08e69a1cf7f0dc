"""Several processes at once, started as Windows and macOS start them, and one that is killed."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from types import ModuleType

import pytest

import facevalue as fv
from facevalue.images.input_cache import cached
from facevalue.images.preprocessing import Preprocessing
from facevalue.support import locks

from ..runtime.model_folders import write_model

HERE = Path(__file__).parent


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module that the started processes import."""
    monkeypatch.syspath_prepend(str(HERE))
    import workers  # type: ignore[import-not-found]

    return workers


@pytest.fixture
def pool() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(3, mp_context=multiprocessing.get_context("spawn")) as executor:
        yield executor


def test_processes_that_make_the_same_cache_all_read_it(
    workers: ModuleType, pool: ProcessPoolExecutor, tmp_path: Path
) -> None:
    assert all(pool.map(workers.make_and_read, [tmp_path] * 6))
    assert [path.suffix for path in tmp_path.iterdir()] == [".inputs"]


def test_an_open_cache_goes_to_another_process(workers: ModuleType, pool: ProcessPoolExecutor, tmp_path: Path) -> None:
    names, pixels = workers.inputs()
    held = cached(names, Preprocessing(size=workers.SIDE), pixels.__getitem__, tmp_path, 10**7)
    assert held is not None
    assert pool.submit(workers.read, held).result()
    held.path.unlink()
    assert pool.submit(workers.holds_nothing, held).result()
    assert workers.read(held)  # the file is gone, but not for who has it open


def test_a_model_answers_in_started_processes(
    workers: ModuleType, pool: ProcessPoolExecutor, lfw: Path, tmp_path: Path
) -> None:
    write_model(tmp_path / "model")
    image = lfw / "face" / "face-000.png"
    (here,) = fv.open(tmp_path / "model").predict(image)
    assert pool.submit(workers.label_of, tmp_path / "model", image).result() == (here.leaning or here.label)


KILLED = """
import os, sys
from pathlib import Path
from facevalue.support import locks
mark = locks.Mark(Path(sys.argv[1]))
print(locks.in_use(Path(sys.argv[1])), flush=True)
sys.stdin.read()
os._exit(0)
"""


def test_a_file_is_in_use_until_its_reader_ends(tmp_path: Path) -> None:
    file = tmp_path / "a b.inputs"
    file.touch()
    assert not locks.in_use(file)
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, file], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "True\n"
        assert locks.in_use(file)
    assert not locks.in_use(file)
    assert list(tmp_path.iterdir()) == [file]


def test_one_at_a_time(tmp_path: Path) -> None:
    with locks.alone(tmp_path / ".lock") as first:
        with locks.alone(tmp_path / ".lock") as second:
            assert (first, second) == (True, False)
        assert (tmp_path / ".lock").exists()
    assert list(tmp_path.iterdir()) == []
    with locks.alone(tmp_path / "nowhere" / ".lock") as unlocked:
        assert unlocked  # where nothing can be locked the work goes on
