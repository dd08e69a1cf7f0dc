"""Time and peak memory of ``facevalue data scan`` at a thousand to a hundred thousand small images, as a process.

``cold`` is the first scan, ``again`` a second one of the same files, whose facts are in facevalue's cache. The files
are in the page cache. ``twice_the_files`` is the time of one size divided by that of half of it.

Run from the project's root: ``python -m benchmarks.scan_memory [N ...]``.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.common import FACEVALUE, keep


def write(folder: Path, n: int) -> None:
    """Write small images in two classes, a thousand per sub-folder."""
    rng = np.random.default_rng(0)
    for i in range(n):
        path = folder / ("ab"[i % 2]) / f"{i // 1000:04}" / f"{i:07}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
        coarse.resize((32, 32)).save(path, compress_level=1)


def measured(command: list[str]) -> dict[str, float]:
    """Seconds and peak resident megabytes of a process, as measured by the operating system."""
    start = time.perf_counter()
    pid = os.posix_spawn(
        command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    )
    _, status, usage = os.wait4(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    return {"seconds": time.perf_counter() - start, "peak_megabytes": usage.ru_maxrss / 1024}


def main(*sizes: int) -> None:
    results = {}
    for n in sizes or (1_000, 10_000, 50_000, 100_000):
        with tempfile.TemporaryDirectory() as folder:
            os.environ["FACEVALUE_CACHE"] = str(Path(folder) / "cache")
            write(Path(folder) / "set", n)
            command = [FACEVALUE, "data", "scan", str(Path(folder) / "set"), "--groups", "image"]
            results[str(n)] = {"cold": measured(command), "again": measured(command)}
    twice = {
        str(n): {which: results[str(n)][which]["seconds"] / of_half[which]["seconds"] for which in of_half}
        for n in map(int, results)
        if (of_half := results.get(str(n // 2)))
    }
    keep("scan_memory", {"images": results, "twice_the_files": twice})


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
