"""Seconds and memory of grouping, splits, copies, leaks, shortcuts and manifests at up to a million rows.

The rows are those of a scan, made up: random hashes, of which one hundredth are near-duplicates of others and one
thousandth are the same file. A process of its own writes them, another reads and works on them, so that making them up
is not measured. A stage's ``peak_megabytes`` is that of the process up to its end: ``imported`` has no table yet,
``read`` has it and nothing else. ``bytes_a_row`` is by how much the peak of the whole work grows from the smallest size
to the largest, divided by the rows that there are more.
``data scan`` itself is measured by ``scan_memory``.

Run from the project's root: ``python -m benchmarks.data_at_size [N ...]``.
"""

from __future__ import annotations

import json
import os
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


def stages(path: Path) -> dict[str, dict[str, float]]:
    """Each stage in turn, in this process, on the table of a file."""
    # All that the stages import, so that memory grows by their work alone.
    import scipy.sparse.csgraph  # noqa: F401
    import sklearn.ensemble
    import sklearn.model_selection  # noqa: F401

    from facevalue.data.audit.copies import find_copies
    from facevalue.data.audit.shortcuts import find_shortcuts
    from facevalue.data.groups import look_alikes, with_groups
    from facevalue.data.leaks import find_leaks
    from facevalue.data.manifest import Manifest, read_table
    from facevalue.data.splits import with_splits

    os.environ["FACEVALUE_CACHE"] = str(path.with_name("cache"))  # which has no search for near-duplicates yet
    found: dict[str, dict[str, float]] = {}

    def timed(name: str, work: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        made = work()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        found[name] = {"seconds": time.perf_counter() - start, "peak_megabytes": peak}
        return made

    timed("imported", lambda: None)
    manifest = timed("read", lambda: Manifest(read_table(path), "made up"))
    alike = timed("near-duplicates", lambda: look_alikes(manifest))
    manifest = timed("groups", lambda: with_groups(manifest, found=alike))
    manifest = timed("splits", lambda: with_splits(manifest))
    timed("fingerprint", manifest.fingerprint)
    timed("copies", lambda: find_copies(manifest.readable, found=alike))
    timed("leaks", lambda: find_leaks(manifest.readable))
    timed("shortcuts", lambda: find_shortcuts(manifest.readable))
    timed("saved", lambda: manifest.save(path.with_name("manifest.parquet")))
    return found


def measured(n: int) -> dict[str, Any]:
    """The stages of a table of ``n`` rows."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "rows.parquet")
        command = [sys.executable, "-m", "benchmarks.data_at_size"]
        subprocess.run([*command, "rows", str(n), path], check=True, cwd=ROOT)
        run = subprocess.run([*command, "stages", path], check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    return dict(json.loads(run.stdout))


def main(*sizes: int) -> None:
    found = {n: measured(n) for n in sizes or SIZES}
    least, most = min(found), max(found)
    grown = found[most]["saved"]["peak_megabytes"] - found[least]["saved"]["peak_megabytes"]
    each = {"bytes_a_row": grown * 2**20 / (most - least)} if most > least else {}
    keep("data_at_size", {**each, "rows": {str(n): stages for n, stages in found.items()}})


if __name__ == "__main__":
    if sys.argv[1:2] == ["rows"]:
        from facevalue.data.manifest import Manifest

        Manifest(rows(int(sys.argv[2])), "made up").save(Path(sys.argv[3]))
    elif sys.argv[1:2] == ["stages"]:
        print(json.dumps(stages(Path(sys.argv[2]))))
    else:
        main(*map(int, sys.argv[1:]))
