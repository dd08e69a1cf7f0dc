"""``facevalue predict`` on one image: process start to answer, and peak memory, over several runs.

Run from the project's root: ``python -m benchmarks.predict_start [RUNS]``.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.common import FACEVALUE, data, facevalue, keep, mobilenet


def measured(command: list[str]) -> tuple[float, float]:
    """Seconds and peak resident megabytes of a process, as measured by the operating system."""
    start = time.perf_counter()
    pid = os.posix_spawn(
        command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    )
    _, status, usage = os.wait4(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    return time.perf_counter() - start, usage.ru_maxrss / 1024


def main(runs: int = 7) -> None:
    image = str(next(data("horse-or-human-grey100", "validation", "horses").glob("*.png")))
    networks = {
        "mobilenetv2_100": ("--recipe", "probe", "--network", "mobilenetv2_100", "--weights", mobilenet()),
        "small-cnn": ("--recipe", "horse-or-human/cnn", "--epochs", "1"),
    }
    results = {}
    for name, arguments in networks.items():
        with tempfile.TemporaryDirectory() as folder:
            model = str(Path(folder) / "model")
            facevalue("train", str(data("horse-or-human-grey100")), "-o", model, *arguments)
            measured(
                [FACEVALUE, "predict", model, image]
            )  # once before the timing, so that every file is in the page cache
            pairs = [measured([FACEVALUE, "predict", model, image]) for _ in range(runs)]
        seconds, megabytes = [p[0] for p in pairs], [p[1] for p in pairs]
        results[name] = {
            "seconds": seconds,
            "median_seconds": statistics.median(seconds),
            "peak_megabytes": max(megabytes),
        }
    keep("predict_start", results)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
