"""Our near-duplicate search beside faiss's binary indexes: seconds, peak memory and recall, in one run.

Every search runs in its own process; ``megabytes`` is its peak above the memory before the search. Hashes and copies
are those of :mod:`benchmarks.near_duplicates`. faiss finds every pair within the radius by ``range_search``; the time
to join them to clusters is not included. Searches that would take many minutes use only the first rows, which include
all originals of the copies, and their time is scaled (``asked`` below ``n``); the time to build the index is not
scaled. In ``crowd`` every hash is within the radius of every other.

Needs ``faiss-cpu``, which facevalue itself does not. Run from the project's root:
``python -m benchmarks.near_duplicates_faiss [LARGEST]``.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import ROOT, keep
from benchmarks.near_duplicates import APART, planted
from facevalue.data.hash_buckets import plan
from facevalue.data.hashes import BITS, NEAR
from facevalue.data.near_duplicates import clusters

WAYS = (
    "ours",
    "flat",
    *(f"multi {way}" for way in ("12x21 flips 0", "12x21 flips 1", "12x21 flips 2", "16x16 flips 1")),
)
"""Settings of ``IndexBinaryMultiHash``: tables x bits per bucket, and bits by which searched buckets may differ."""

PAIRS = 1e10  # largest number of comparisons of a flat search
ASKED = 20_000  # largest number of queries for the slow indexes


def crowd(n: int) -> NDArray[np.uint64]:
    """Different hashes, each within a few bits of all others."""
    zero = np.zeros(n, np.uint64)
    return np.stack([np.arange(n, dtype=np.uint64), zero, zero, zero], axis=1)


def asked(way: str, n: int) -> int:
    """Number of query rows."""
    if way == "flat":
        return min(n, max(n // 100, int(PAIRS / n)))
    return n if way in ("ours", "multi 12x21 flips 0", "multi 12x21 flips 1") else min(n, ASKED)


def index_of(way: str) -> Any:
    """An empty faiss index."""
    import faiss

    if way == "flat":
        return faiss.IndexBinaryFlat(BITS)
    _, size, _, flips = way.split()
    index = faiss.IndexBinaryMultiHash(BITS, *map(int, size.split("x")))
    index.nflip = int(flips)
    return index


def megabytes(kind: str) -> float:
    """This process's memory, now (``VmRSS``) or at its peak (``VmHWM``)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{kind}:")) / 1024


def measured(way: str, hashes: NDArray[np.uint64], apart: NDArray[np.int64]) -> dict[str, Any]:
    """One search in this process."""
    n, rows = len(hashes), asked(way, len(hashes))
    clusters(planted(1000)[0], NEAR)  # the first call imports modules
    index = None if way == "ours" else index_of(way)
    Path("/proc/self/clear_refs").write_text("5")  # Linux: reset the peak
    before = megabytes("VmRSS")
    start = time.perf_counter()
    if index is None:
        labels, added = clusters(hashes, NEAR).labels, 0.0
        seconds = time.perf_counter() - start
        joined = labels[: len(apart)] == labels[n - len(apart) :]
    else:
        codes = hashes.view(np.uint8).reshape(n, -1)
        index.add(codes)
        added = time.perf_counter() - start
        ends, _, found = index.range_search(codes[:rows], NEAR + 1)  # faiss excludes the radius itself
        seconds = added + (time.perf_counter() - start - added) * n / rows
        ends = ends.astype(np.int64)
        joined = np.array([n - len(apart) + i in found[ends[i] : ends[i + 1]] for i in range(len(apart))], bool)
    peak = megabytes("VmHWM") - before
    recall = {str(d): float(joined[apart == d].mean()) for d in APART if d <= NEAR and (apart == d).any()}
    return {"way": way, "n": n, "asked": rows, "seconds": seconds, "adding": added, "megabytes": round(peak, 1)} | (
        {"recall": recall, "false": int(joined[apart > NEAR].sum())} if len(apart) else {}
    )


def in_a_process(way: str, what: str, n: int) -> dict[str, Any]:
    """Run ``measured`` in a separate process, so that the peak memory is only its own."""
    command = [sys.executable, "-m", "benchmarks.near_duplicates_faiss", "one", way, what, str(n)]
    answer = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return dict(json.loads(answer.splitlines()[-1]))


def one(way: str, what: str, n: int) -> None:
    """Print one measurement as JSON."""
    made = (crowd(n), np.zeros(0, np.int64)) if what == "crowd" else planted(n)
    print(json.dumps(measured(way, *made)))


def main(largest: int = 1_000_000) -> None:
    import faiss

    runs: list[dict[str, Any]] = []
    for n in (n for n in (10_000, 100_000, 1_000_000) if n <= largest):
        ours = None
        for way in (*WAYS, "ours"):  # ours again at the end, to see how stable the machine is
            run = in_a_process(way, "planted", n)
            ours = ours or run["seconds"]
            runs.append(run | {"times_ours": run["seconds"] / ours})
            print(json.dumps(runs[-1]))
    crowds = [in_a_process(way, "crowd", n) for n in (5_000, 20_000) for way in ("ours", "multi 12x21 flips 1")]
    keep(
        "near_duplicates_faiss",
        {
            "radius": NEAR,
            "faiss": faiss.__version__,
            "our_bits_tables": {str(n): plan(planted(n)[0], NEAR) for n in sorted({run["n"] for run in runs})},
            "runs": runs,
            "crowd": crowds,
        },
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["one"]:
        one(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    else:
        main(*map(int, sys.argv[1:2]))
