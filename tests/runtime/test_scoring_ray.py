"""Ray Data gives the rows of one machine, also if an actor is killed in the middle."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

from facevalue.runtime.scoring import ray_data
from facevalue.runtime.scoring.run import predict_to_parquet

pytestmark = [
    pytest.mark.slow,
    # Ray's own code: sockets it leaves open, and names that its libraries are about to rename.
    pytest.mark.filterwarnings("ignore"),
]


@pytest.fixture
def cluster() -> Iterator[None]:
    ray = pytest.importorskip("ray")
    source = str(Path(__file__).parents[2] / "src")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, runtime_env={"env_vars": {"PYTHONPATH": source}})
    yield
    ray.shutdown()


def actor_processes() -> list[int]:
    """Process ids of the actors that this process's own Ray started: the children of its raylet."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError):  # a process that has ended
            named = (folder / "cmdline").read_bytes().startswith(b"ray::MapWorker")
            if named and parent(parent(int(folder.name))) == os.getpid():
                found.append(int(folder.name))
    return found


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_rows_are_those_of_one_machine_though_an_actor_is_killed(
    cluster: None, folder: Path, fill: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = fill(tmp_path / "images", "a", n=20)
    (images / "a" / "broken.jpg").write_bytes(b"\xff\xd8\xff no image")
    paths = sorted(map(str, images.rglob("*.*"))) * 100
    pd.DataFrame({"path": paths}).to_csv(tmp_path / "m.csv")
    here = predict_to_parquet(folder, tmp_path / "m.csv", tmp_path / "here", part_images=500)
    killed: list[int] = []
    out = tmp_path / "ray"

    def kill() -> None:
        while not (out / "part-000000.parquet").exists():
            time.sleep(0.01)
        killed.extend(actor_processes()[:1])
        os.kill(killed[0], signal.SIGKILL)

    monkeypatch.setattr(ray_data, "BATCH", 16)
    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    there = predict_to_parquet(folder, tmp_path / "m.csv", out, engine="ray", part_images=100)
    thread.join(10)
    assert killed  # after the first part and before the last
    assert (there.images, there.engine) == (here.images, here.engine) == (len(paths), here.engine)
    pd.testing.assert_frame_equal(pd.read_parquet(out), pd.read_parquet(here.output))
