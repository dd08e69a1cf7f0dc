"""Time and peak memory of ``facevalue data scan`` at a thousand to a hundred thousand small images.

``cold`` is the first scan, ``again`` a second one of the same files, whose facts are in facevalue's cache. ``stopped``
is a first scan that gets Ctrl-C after a part of its time, and ``next`` the scan after it. The files are in the page
cache if they fit. ``twice_the_files`` is the time of one size divided by that of half of it.

Run from the project's root: ``python -m benchmarks.scan_memory [N ...]``. Sizes that are not given keep their figures
of an earlier run. A million (``python -m benchmarks.scan_memory 1000000``) needs 5 GB of disk and about half an hour.
"""

from __future__ import annotations

import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.common import FACEVALUE, keep, kept

BLOCK = 1000  # images for each sub-folder of both classes
STOPPED_AFTER = 0.3  # of the time of the cold scan


def write(folder: Path, n: int) -> None:
    """Write ``n`` small images of two classes, :data:`BLOCK` for each sub-folder of both."""
    with ProcessPoolExecutor() as pool:
        list(pool.map(partial(_write_block, folder, n), range(0, n, BLOCK)))


def _write_block(folder: Path, n: int, start: int) -> None:
    rng = np.random.default_rng(start)
    folders = [folder / label / f"{start // BLOCK:04}" for label in "ab"]
    for each in folders:
        each.mkdir(parents=True)
    for i in range(start, min(start + BLOCK, n)):
        coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
        coarse.resize((32, 32)).save(folders[i % 2] / f"{i:07}.png", compress_level=1)


def resident(process: int) -> float:
    """Megabytes that a process and the processes it started hold; pages that they share count for each."""
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except (OSError, IndexError):  # it has ended
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20 + sum(map(resident, map(int, children)))


def measured(command: list[str], stop_after: float | None = None) -> dict[str, float]:
    """Seconds and peak megabytes of a command with its processes, looked at every tenth of a second.

    With ``stop_after`` it gets Ctrl-C after so many seconds, and its exit code is measured too.
    """
    peak, start = 0.0, time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            peak = max(peak, resident(process.pid))
            time.sleep(0.1)
            if stop_after is not None and time.perf_counter() - start > stop_after:
                process.send_signal(signal.SIGINT)
                stop_after = math.inf
    figures = {"seconds": time.perf_counter() - start, "peak_megabytes": peak}
    assert process.returncode == 0 or stop_after is not None
    return figures if stop_after is None else figures | {"exit_code": process.returncode}


def scanned(folder: Path, n: int) -> dict[str, dict[str, float]]:
    """The figures of ``n`` images, which are written into ``folder``."""
    os.environ["FACEVALUE_CACHE"] = str(folder / "cache")
    write(folder / "set", n)
    command = [FACEVALUE, "data", "scan", str(folder / "set"), "--groups", "image"]
    cold, again = measured(command), measured(command)
    shutil.rmtree(folder / "cache")
    stopped = measured(command, STOPPED_AFTER * cold["seconds"])
    return {"cold": cold, "again": again, "stopped": stopped, "next": measured(command)}


def main(*sizes: int) -> None:
    # A shell starts what runs in its background with Ctrl-C ignored, and processes would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    results: dict[str, Any] = kept("scan_memory")["images"] if sizes else {}
    for n in sizes or (1_000, 10_000, 50_000, 100_000):
        with tempfile.TemporaryDirectory() as folder:
            results[str(n)] = scanned(Path(folder), n)
    results = dict(sorted(results.items(), key=lambda item: int(item[0])))
    twice = {
        str(n): {which: results[str(n)][which]["seconds"] / of_half[which]["seconds"] for which in ("cold", "again")}
        for n in map(int, results)
        if (of_half := results.get(str(n // 2)))
    }
    keep("scan_memory", {"images": results, "twice_the_files": twice})


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
