"""Helpers of the benchmarks: the location of the images, and the result files."""

from __future__ import annotations

import json
import os
import platform
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
FACEVALUE = str(Path(sys.executable).with_name("facevalue"))
SEEDS = (0, 1, 2)


def data(*parts: str) -> Path:
    """A folder of the measuring set: ``$FACEVALUE_DATA``, or ``../shared/data`` beside the project."""
    root = Path(os.environ.get("FACEVALUE_DATA", ROOT.parent / "shared" / "data"))
    path = root.joinpath(*parts)
    if not path.exists():
        sys.exit(f"{path} is not there; set FACEVALUE_DATA to the folder of measuring images")
    return path


def mobilenet() -> str:
    """Path of the MobileNetV2 weights of the measuring set."""
    return str(data("weights", "mobilenetv2_100.imagenet1k.safetensors"))


def facevalue(*arguments: str) -> tuple[dict[str, Any] | list[Any], float]:
    """Run a command of the command line; returns its JSON and the seconds of the whole process."""
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        start = time.perf_counter()
        subprocess.run([FACEVALUE, *arguments, "--json", str(answer)], check=True, stdout=subprocess.DEVNULL)
        return json.loads(answer.read_text()), time.perf_counter() - start


def shown(text: str) -> str:
    """A command without the folders of this machine."""
    return (
        re.sub(re.escape(tempfile.gettempdir()) + r"/(tmp\w{8}/)?", "", text)
        .replace(str(data()), "$FACEVALUE_DATA")
        .replace(str(ROOT) + "/", "")
        .replace(str(Path(sys.executable).parent) + "/", "")
    )


def keep(name: str, figures: dict[str, Any]) -> None:
    """Write ``benchmarks/results/NAME.json`` with the command and the versions."""
    processor = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.processor(),
    )
    result = {
        "command": shlex.join(["python", "-m", f"benchmarks.{Path(sys.argv[0]).stem}", *sys.argv[1:]]),
        "date": datetime.now(UTC).date().isoformat(),
        "machine": {"processor": processor, "cores": len(os.sched_getaffinity(0)), "python": platform.python_version()},
        **figures,
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{name}.json").write_text(shown(json.dumps(result, indent=2)) + "\n")
    print(f"wrote benchmarks/results/{name}.json")


def kept(name: str) -> dict[str, Any]:
    """The contents of ``benchmarks/results/NAME.json`` from an earlier run."""
    return dict(json.loads((RESULTS / f"{name}.json").read_text()))


def mean(values: Sequence[float]) -> float:
    """Arithmetic mean."""
    return sum(values) / len(values)


SHOWN = (
    "n accuracy accuracy_ci balanced_accuracy auroc average_precision ece brier nll confusion recall coverage "
    "accuracy_answered classes"
).split()


def essentials(report: dict[str, Any]) -> dict[str, Any]:
    """The figures of an evaluation for a table."""
    return {key: report[key] for key in SHOWN}


def summary(runs: Sequence[dict[str, Any]], split: str = "test") -> dict[str, Any]:
    """Mean, lowest and highest accuracy over seeds."""
    accuracies = [run[split]["accuracy"] for run in runs]
    return {"accuracy_mean": mean(accuracies), "accuracy_min": min(accuracies), "accuracy_max": max(accuracies)}


def train(out: Path, *arguments: str) -> dict[str, Any]:
    """Train a model folder and return its figures for a table."""
    figures, seconds = facevalue("train", *arguments, "-o", str(out))
    assert isinstance(figures, dict)
    return {
        "arguments": shown(shlex.join(arguments)),
        "seed": figures["seed"],
        "parameters": figures["parameters"],
        "process_seconds": round(seconds, 1),
        "seconds_per_epoch": figures["seconds_per_epoch"],
        "temperature": figures["temperature"],
        "counts": figures["data"]["counts"],
        **{split: essentials(figures[split]) for split in ("train", "validation", "test")},
    }
