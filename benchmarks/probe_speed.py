"""Time of a probe, from process start to saved model folder, and of a plain loop over five epochs, in one run.

Both with and without glibc set to keep memory. The two sides run in turns, so that a slow phase of the machine affects
both.

Run from the project's root: ``python -m benchmarks.probe_speed [DATASET] [ROUNDS]``.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.common import FACEVALUE, data, keep, mobilenet

KEEP = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**31 - 1), "MALLOC_TOP_PAD_": str(64 * 2**20)}
EPOCHS = 5


def timed(command: list[str], extra: dict[str, str]) -> float:
    """Seconds of a whole process."""
    start = time.perf_counter()
    subprocess.run(
        command, check=True, env={**os.environ, **extra}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    return time.perf_counter() - start


def main(name: str = "horse-or-human-grey100", rounds: int = 3) -> None:
    folder = str(data(name))
    plain = [sys.executable, "-m", "benchmarks.plain_loop", folder, mobilenet(), str(EPOCHS)]
    seconds: dict[str, list[float]] = {
        "probe": [],
        "probe, kept memory": [],
        "plain loop": [],
        "plain loop, kept memory": [],
    }
    for _ in range(rounds):
        for extra, suffix in (({}, ""), (KEEP, ", kept memory")):
            with tempfile.TemporaryDirectory() as scratch:
                ours = [
                    *(FACEVALUE, "train", folder, "-o", str(Path(scratch) / "model"), "--recipe", "probe"),
                    *("--network", "mobilenetv2_100", "--weights", mobilenet()),
                ]
                seconds["probe" + suffix].append(timed(ours, extra))
            seconds["plain loop" + suffix].append(timed(plain, extra))
    median = {side: statistics.median(times) for side, times in seconds.items()}
    better = min(median["plain loop"], median["plain loop, kept memory"])
    keep(
        f"probe_speed.{name}",
        {
            "data": name,
            "epochs_of_plain_loop": EPOCHS,
            "seconds": seconds,
            "median_seconds": median,
            "ratio_to_better_plain_loop": {side: median[side] / better for side in median},
        },
    )


if __name__ == "__main__":
    main(*sys.argv[1:2], *map(int, sys.argv[2:3]))
