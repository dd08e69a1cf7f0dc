"""Time and peak memory of ``facevalue data scan`` at a thousand to a hundred thousand small images, as a process.

``cold`` is the first scan, ``again`` a second one of the same files, whose facts are in facevalue's cache. ``stopped``
is a first scan that gets Ctrl-C after a part of its time, and ``next`` the scan after it. The files are in the page
cache if they fit. ``twice_the_files`` is the time of one size divided by that of half of it.

Run from the project's root: ``python -m benchmarks.scan_memory [N ...]``. Sizes that are not given keep their figures
of an earlier run. A million (``python -m benchmarks.scan_memory 1000000``) needs 5 GB of disk and about half an hour.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from threading import Timer
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


def measured(command: list[str], stop_after: float | None = None) -> dict[str, float]:
    """Seconds and peak resident megabytes of a process, as measured by the operating system.

    With ``stop_after`` it gets Ctrl-C after so many seconds, and its exit code is measured too.
    """
    start = time.perf_counter()
    pid = os.posix_spawn(
        command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    )
    timer = Timer(stop_after or 0, os.kill, (pid, signal.SIGINT))
    if stop_after is not None:
        timer.start()
    _, status, usage = os.wait4(pid, 0)
    timer.cancel()
    code = os.waitstatus_to_exitcode(status)
    assert code == 0 or stop_after is not None
    figures = {"seconds": time.perf_counter() - start, "peak_megabytes": usage.ru_maxrss / 1024}
    return figures if stop_after is None else figures | {"exit_code": code}


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
