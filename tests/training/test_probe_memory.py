"""A probe with many features and differences takes little memory beside the features, and says when it will not do."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from facevalue.support import machine
from facevalue.training.probe_memory import bytes_needed, short_memory
from facevalue.training.recipe import configured

FIT = """
import resource, torch
from facevalue.training.consistent_fit import Differences
from facevalue.training.probe import fit_probe
from facevalue.training.settings import ProbeSettings

n, d = 400, 20_000
room = torch.randn(n, 4, d, generator=torch.Generator().manual_seed(0))
y = (torch.arange(n) % 2).numpy()
settings = ProbeSettings(strengths=(200.0,), scale="each", loss="squared")
small = room[:40, :, :50]
def fit(room, y):
    fit_probe((room[:, 0], y), (room[:40, 0], y[:40]), 2, settings, differences=[Differences(room[:, 1:], 0.02)])
fit(small, y[:40])  # loads what is loaded once
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
fit(room, y)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / (4 * room.numel()))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss has other units elsewhere")
def test_a_fit_with_differences_never_has_all_its_rows_in_memory() -> None:
    environment = {**os.environ, "MALLOC_ARENA_MAX": "1"}
    run = subprocess.run([sys.executable, "-c", FIT], check=True, capture_output=True, text=True, env=environment)
    # Of the features' own size. One copy of all rows, in single precision, would be 1 and more.
    assert float(run.stdout) < 0.6


def test_the_estimate_is_near_what_was_measured() -> None:
    kept = json.loads((Path(__file__).parents[2] / "benchmarks" / "results" / "probe_memory.json").read_text())
    images = {"train": 1224, "validation": 90, "calibration": 126, "test": 360}
    assert sum(images.values()) == kept["images"]
    needed = bytes_needed(kept["features"], images, configured("real-or-ai/texture"))
    assert 0.75 < needed / 2**20 / kept["peak_megabytes"] < 1.25


def test_memory_that_will_not_do_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "available_memory", lambda: 10**9)
    monkeypatch.setattr("facevalue.training.probe_memory.available_memory", machine.available_memory)
    (found,) = short_memory(2 * 10**9)
    assert found.code == "memory-short"
    assert "1.9 GiB" in found.text
    assert "0.9 GiB" in found.text
    assert not list(short_memory(10**8))
