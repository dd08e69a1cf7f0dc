"""Two processes under torchrun train as one process with the double batch does; a killed one is started again."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from facevalue.data.dataset import ImageDataset
from facevalue.evidence.card import CARD, ModelCard
from facevalue.images.preprocessing import Preprocessing
from facevalue.training.batches import shuffled
from facevalue.training.loop import _share

TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
SMALL = (
    *("--recipe", "scratch", "--network", "small-resnet", "--size", "24", "--device", "cpu"),
    *(
        "--set",
        "network.options={widths = [8, 16], dropout = 0.0}",
        "--set",
        "fit.patience=0",
        "--set",
        "fit.keep=last",
    ),
)


def trained(start: Sequence[str], data: Path, output: Path, *more: str) -> None:
    run = subprocess.run(
        [*start, "-m", "facevalue", "train", str(data), "-o", str(output), *SMALL, *more],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr


def figures(card: ModelCard, split: str) -> tuple[float, float]:
    found = card.evaluation(split)
    assert found is not None
    return found.accuracy, found.nll


@pytest.mark.parametrize("n", [31, 32, 33, 35, 64])
@pytest.mark.parametrize("processes", [2, 3])
def test_processes_share_out_each_step_of_one_process_with_a_larger_batch(n: int, processes: int) -> None:
    pixels = np.arange(n, dtype=np.uint8)[:, None, None, None] * np.ones((1, 8, 8, 3), np.uint8)
    data = ImageDataset.from_arrays(list(pixels), np.arange(n) % 2, classes=("a", "b")).with_preprocessing(
        Preprocessing(size=8)
    )
    whole = list(shuffled(data, 4 * processes, (0, 1)))
    parts = [list(shuffled(data, 4, (0, 1), process, processes)) for process in range(processes)]
    assert len({len(part) for part in parts}) == 1  # all take the same number of steps
    for step, shared in zip(whole, zip(*parts, strict=True), strict=False):
        assert np.concatenate([one.indices for one in shared]).tolist() == step.indices.tolist()
        assert all((one.pixels[:, 0, 0, 0] == one.indices).all() and len(one.labels) >= 2 for one in shared)
        assert all((one.step == step.labels).all() for one in shared)
    left = n - sum(len(part[k].labels) for part in parts for k in range(len(parts[0])))
    assert left < 2 * processes


@pytest.mark.parametrize("weighted", [True, False])
def test_the_mean_loss_of_uneven_processes_is_that_of_all_images(weighted: bool) -> None:
    data = ImageDataset.from_arrays([np.zeros((8, 8, 3), np.uint8)] * 7, [0, 0, 1, 1, 1, 1, 1], classes=("a", "b"))
    data = data.with_preprocessing(Preprocessing(size=8))
    weights = torch.tensor([1.75, 0.7])
    losses = torch.rand(7, generator=torch.Generator().manual_seed(0))
    of_image = weights[torch.from_numpy(data.labels)] if weighted else torch.ones(7)
    mean = 0.0
    for process in range(3):
        (batch,) = shuffled(data, 3, (0, 0), process, 3)
        w = of_image[batch.indices]
        mean += _share(batch, weights if weighted else None) * float((w * losses[batch.indices]).sum() / w.sum()) / 3
    assert mean == pytest.approx(float((of_image * losses).sum() / of_image.sum()), rel=1e-5)


@pytest.mark.slow
def test_two_processes_equal_one_with_the_double_batch(lfw: Path, tmp_path: Path) -> None:
    """Weights, history, splits and metrics; batch norm keeps its statistics, because it has those of one process."""
    plain = ("--epochs", "3", "--set", "fit.freeze_batchnorm=true", "--set", "optimizer.name=sgd", "--lr", "0.01")
    trained((sys.executable,), lfw, tmp_path / "one", *plain, "--batch-size", "32")
    trained(TORCHRUN, lfw, tmp_path / "two", *plain, "--batch-size", "16")
    one, two = (ModelCard.load(tmp_path / name) for name in ("one", "two"))
    assert two.data.counts == one.data.counts
    assert two.provenance.fingerprint == one.provenance.fingerprint
    ours, theirs = (load_file(tmp_path / name / "weights.safetensors") for name in ("one", "two"))
    for name, values in ours.items():
        if name.startswith("body."):
            np.testing.assert_allclose(theirs[name], values, atol=2e-4, rtol=1e-3, err_msg=name)
    for split in ("train", "validation", "calibration", "test"):
        assert figures(two, split) == pytest.approx(figures(one, split), abs=5e-3)
    lines = [
        [json.loads(line) for line in (tmp_path / name / "history.jsonl").read_text().splitlines()]
        for name in ("one", "two")
    ]
    for first, second in zip(*lines, strict=True):
        for key in ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "lr"):
            assert second[key] == pytest.approx(first[key], abs=2e-3), key
    assert {p.name for p in tmp_path.iterdir()} >= {"one", "two"}
    assert not [p.name for p in tmp_path.iterdir() if ".training" in p.name]


@pytest.mark.slow
def test_a_killed_worker_is_started_again_and_goes_on(lfw: Path, tmp_path: Path) -> None:
    output, state = tmp_path / "model", tmp_path / "model.training" / "state.json"
    start = [*TORCHRUN, "--max-restarts=2", "--monitor-interval=0.5", "-m", "facevalue", "train", str(lfw)]
    process = subprocess.Popen(
        [*start, "-o", str(output), *SMALL, "--epochs", "12", "--batch-size", "8"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 200
        while not (state.is_file() and process.poll() is None) and time.monotonic() < deadline:
            time.sleep(0.05)
        os.kill(worker(process.pid, "1"), signal.SIGKILL)
        _, errors = process.communicate(timeout=250)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, errors
    assert re.search(r"resuming after epoch \d+", errors)
    epochs = [json.loads(line)["epoch"] for line in (output / "history.jsonl").read_text().splitlines()]
    assert epochs == list(range(12))
    assert (output / CARD).is_file()
    assert ModelCard.load(output).evaluation("test") is not None


def worker(parent: int, rank: str) -> int:
    """Process id of the child with this rank."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                of = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                environment = (folder / "environ").read_bytes().split(b"\0")
            except (OSError, ValueError):
                continue
            if of == parent and f"RANK={rank}".encode() in environment:
                return int(folder.name)
    raise AssertionError("there is no such worker")


@pytest.mark.slow
def test_what_cannot_be_shared_out_says_so(lfw: Path, tmp_path: Path) -> None:
    run = subprocess.run(
        [*TORCHRUN, "-m", "facevalue", "train", str(lfw), "-o", str(tmp_path / "m"), *SMALL, "--recipe", "probe"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode != 0
    assert "a probe computes every image once and runs in one process" in run.stderr
    assert not (tmp_path / "m").exists()
