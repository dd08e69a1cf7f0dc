"""Seconds and memory of grouping, splits, copies, leaks, shortcuts and manifests at up to a million rows.

The rows are those of a scan, made up: random hashes, of which one hundredth are near-duplicates of others and one
thousandth are the same file. Each size is a process of its own; a stage's ``peak_megabytes`` is that of the process up
to its end, and ``rows`` is the process with the table alone. ``data scan`` itself is measured by ``scan_memory``.

Run from the project's root: ``python -m benchmarks.data_at_size [N ...]``.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.common import ROOT, keep

SIZES = (10_000, 100_000, 1_000_000)


def rows(n: int) -> pd.DataFrame:
    """The table of a scan of ``n`` images of two classes, in folders of a thousand."""
    from facevalue.data.file_facts import EMPTY_FACTS

    rng = np.random.default_rng(0)
    hashes, digests = (rng.integers(0, 256, (n, 32), dtype=np.uint8) for _ in range(2))
    near = max(1, n // 100)
    hashes[-near:] = hashes[:near]
    hashes[-near:, 0] ^= 1 << rng.integers(0, 8, near).astype(np.uint8)
    same = max(1, n // 1000)
    hashes[-same:], digests[-same:] = hashes[:same], digests[:same]
    keys = [f"{'ab'[i % 2]}/{i // 1000:05}/{i:08}.jpg" for i in range(n)]
    table = pd.DataFrame({"key": keys})
    return table.assign(
        path=[f"/data/images/{key}" for key in keys],
        label=np.where(np.arange(n) % 2, "b", "a"),
        group="",
        split="",
        **{name: [value] * n for name, value in EMPTY_FACTS.items()},
    ).assign(
        sha256=[one.tobytes().hex() for one in digests],
        phash=[one.tobytes().hex() for one in hashes],
        width=rng.integers(200, 1000, n),
        height=rng.integers(200, 1000, n),
        bytes=rng.integers(5_000, 500_000, n),
        jpeg_quality=rng.integers(60, 95, n),
        format="JPEG",
        mode="RGB",
    )


def stages(n: int) -> dict[str, dict[str, float]]:
    """Each stage in turn, in this process."""
    from facevalue.data.audit.copies import find_copies
    from facevalue.data.audit.shortcuts import find_shortcuts
    from facevalue.data.groups import with_groups
    from facevalue.data.leaks import find_leaks
    from facevalue.data.manifest import Manifest, read_table
    from facevalue.data.splits import with_splits

    found: dict[str, dict[str, float]] = {}

    def timed(name: str, work: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        made = work()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        found[name] = {"seconds": time.perf_counter() - start, "peak_megabytes": peak}
        return made

    made = timed("rows", lambda: Manifest(rows(n), "made up"))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "manifest.parquet"
        timed("saved", lambda: made.save(path))
        timed("read", lambda: read_table(path))
    grouped = timed("groups", lambda: with_groups(made))
    split = timed("splits", lambda: with_splits(grouped))
    timed("fingerprint", split.fingerprint)
    timed("copies", lambda: find_copies(split.readable))
    timed("leaks", lambda: find_leaks(split.readable))
    timed("shortcuts", lambda: find_shortcuts(split.readable))
    return found


def main(*sizes: int) -> None:
    results = {}
    for n in sizes or SIZES:
        command = [sys.executable, "-m", "benchmarks.data_at_size", "stages", str(n)]
        run = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
        results[str(n)] = json.loads(run.stdout)
    keep("data_at_size", {"rows": results})


if __name__ == "__main__":
    if sys.argv[1:2] == ["stages"]:
        print(json.dumps(stages(int(sys.argv[2]))))
    else:
        main(*map(int, sys.argv[1:]))
