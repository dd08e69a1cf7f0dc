"""Ray Data gives the rows of one machine, also if an actor is killed in the middle."""

from __future__ import annotations

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
    """Process ids of our actors on this machine."""
    from ray.util.state import list_actors

    found = list_actors(filters=[("state", "=", "ALIVE")], detail=True)
    return [actor.pid for actor in found if actor.pid and "Map" in actor.class_name]


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
        for pid in actor_processes()[:1]:
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)

    monkeypatch.setattr(ray_data, "BATCH", 16)
    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    there = predict_to_parquet(folder, tmp_path / "m.csv", out, engine="ray", part_images=100)
    thread.join(10)
    assert killed
    assert (there.images, there.engine) == (here.images, here.engine) == (len(paths), here.engine)
    pd.testing.assert_frame_equal(pd.read_parquet(out), pd.read_parquet(here.output))
