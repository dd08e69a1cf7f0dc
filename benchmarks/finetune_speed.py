"""Fine-tuning on a CPU: images per second and accuracy of ``facevalue``'s loop beside timm's usual loop, in one run.

Each side is a process of its own (``benchmarks/gpu.py`` with ``--device cpu``) and trains MobileNetV2 at 224 pixels
from the same weights on the same photographs of people and objects. ``timm`` is the loop of timm's training script with
its defaults; the other sides have what helps on a CPU, one thing after the other: maps channels last, glibc told to
keep memory (as ``facevalue``'s command line does), bfloat16. ``facevalue`` decodes every image once before the first
epoch and timm in each, so ``images_per_second`` counts all of that: the images of all epochs, divided by the seconds
from the first image read to the last epoch. ``by_epoch`` is without the first epoch and that decoding.

Run from the project's root: ``python -m benchmarks.finetune_speed [IMAGES] [ROUNDS]``.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.common import ROOT, keep, mobilenet
from benchmarks.gpu import pack
from benchmarks.probe_speed import KEEP

SIDES: dict[str, tuple[str, str, dict[str, str], bool]] = {
    "facevalue": ("facevalue", "32", KEEP, True),
    "facevalue, bfloat16": ("facevalue", "bf16", KEEP, True),
    "timm": ("timm", "32", {}, False),
    "timm, channels last": ("timm", "32", {}, True),
    "timm, channels last, kept memory": ("timm", "32", KEEP, True),
    "timm, bfloat16, channels last, kept memory": ("timm", "bf16", KEEP, True),
}
"""By name: whose loop, in which arithmetic, with which environment, and whether maps are channels last."""


def some_of(packed: Path, out: Path, images: int) -> None:
    """The first images of each class and part, so that there are ``images`` in all."""
    for folder in sorted(packed.glob("*/*")):
        share = images * (1 if folder.parent.name == "validation" else 4) // 10
        (out / folder.relative_to(packed)).mkdir(parents=True)
        for path in sorted(folder.iterdir())[:share]:
            shutil.copyfile(path, out / path.relative_to(packed))


def measured(side: str, data: Path) -> dict[str, Any]:
    """The figures of one side."""
    name, precision, extra, channels_last = SIDES[side]
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        command = [sys.executable, str(ROOT / "benchmarks" / "gpu.py"), str(data), str(result), "--side", name]
        command += ["--weights", mobilenet(), "--device", "cpu", "--precision", precision, "--no-compile"]
        command += ["--channels-last" if channels_last else "--no-channels-last"]
        command += ["--epochs", "3", "--batch", "16", "--repeat", "1", "--seconds", "3600"]
        subprocess.run(command, check=True, env={**os.environ, **extra}, stdout=subprocess.DEVNULL)
        return dict(json.loads(result.read_text())["sides"][name])


def whole(run: dict[str, Any]) -> float:
    """Images per second of a whole training, with decoding."""
    seconds = sum(run["seconds_by_epoch"]) + run.get("seconds_to_decode_once", 0.0)
    return float(len(run["seconds_by_epoch"]) * run["images_by_epoch"] / seconds)


def main(images: int = 400, rounds: int = 1) -> None:
    runs: dict[str, list[dict[str, Any]]] = {side: [] for side in SIDES}
    with tempfile.TemporaryDirectory() as folder:
        packed, data = Path(folder) / "packed", Path(folder) / "data"
        pack(packed)
        some_of(packed, data, images)
        for _ in range(rounds):
            for side in SIDES:
                runs[side].append(measured(side, data))
    rate = {side: statistics.median(map(whole, found)) for side, found in runs.items()}
    by_epoch = {side: statistics.median(run["images_per_second"] for run in found) for side, found in runs.items()}
    keep(
        "finetune_speed",
        {
            "images": images,
            "images_per_second": rate,
            "ratios": {f"{a} / {b}": rate[a] / rate[b] for a in rate for b in rate if a != b and "facevalue" in a},
            "by_epoch": by_epoch,
            "validation_accuracy": {s: [run["validation_accuracy"] for run in found] for s, found in runs.items()},
            "runs": runs,
        },
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
