"""Near-duplicate search at 10 thousand, 100 thousand and 1 million hashes: seconds, growth, recall by distance.

One hundredth of the hashes are copies, at distances up to the radius and beyond. At 10 and 20 thousand hashes the
result is compared with a search over all pairs. Run from the project's root: ``python -m benchmarks.near_duplicates
[LARGEST]``.
"""

from __future__ import annotations

import itertools
import math
import sys
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import keep
from facevalue.data.hash_buckets import plan
from facevalue.data.hashes import NEAR
from facevalue.data.near_duplicates import clusters

APART = (1, 4, 8, 16, 24, 28, 30, 31, 32, 33, 36, 48)


def planted(n: int, seed: int = 0) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """``n`` hashes; the last hundredth are copies of the first ones with some bits changed."""
    rng = np.random.default_rng(seed)
    copies = n // 100
    hashes = rng.integers(0, 2**64, (n - copies, 4), dtype=np.uint64)
    apart = np.resize(APART, copies)
    bits = np.unpackbits(hashes[:copies].copy().view(np.uint8).reshape(copies, -1), axis=1)
    for row, flips in zip(bits, apart, strict=True):
        row[rng.choice(256, flips, replace=False)] ^= 1
    return np.concatenate([hashes, np.packbits(bits, axis=1).view(np.uint64).reshape(copies, -1)]), apart


def measured(n: int, exact: int | None = None) -> tuple[dict[str, Any], NDArray[np.int64]]:
    """One search; also counts joined pairs beyond the radius, which would be errors."""
    hashes, apart = planted(n)
    start = time.perf_counter()
    found = clusters(hashes, NEAR) if exact is None else clusters(hashes, NEAR, exact)
    seconds = time.perf_counter() - start
    joined = found.labels[: len(apart)] == found.labels[n - len(apart) :]
    figures = {
        "n": n,
        "seconds": seconds,
        "compared": found.compared,
        "of_all_pairs": found.compared / (n * (n - 1) / 2),
        "complete": found.complete,
        "recall": {str(d): float(joined[apart == d].mean()) for d in APART if d <= NEAR},
        "false": int(joined[apart > NEAR].sum()),
    }
    return figures, found.labels


def crowd(name: str, hashes: NDArray[np.uint64]) -> dict[str, Any]:
    """Inputs on which a naive search takes quadratic time or memory."""
    start = time.perf_counter()
    found = clusters(hashes, NEAR)
    groups = len(np.unique(found.labels))
    return {"what": name, "n": len(hashes), "seconds": time.perf_counter() - start, "groups": groups}


def main(largest: int = 1_000_000) -> None:
    sizes = [n for n in (10_000, 100_000, 1_000_000) if n <= largest]
    runs = [measured(n)[0] | {"bits_tables": plan(planted(n)[0], NEAR)} for n in sizes]
    against = []
    for n in (10_000, 20_000):
        by_buckets, ours = measured(n)
        all_pairs, truth = measured(n, exact=n)
        same = bool((ours == truth).all())
        against.append(
            {"n": n, "seconds": by_buckets["seconds"], "all_pairs_seconds": all_pairs["seconds"], "same": same}
        )
    growth = [math.log(b["seconds"] / a["seconds"]) / math.log(b["n"] / a["n"]) for a, b in itertools.pairwise(runs)]
    number = np.arange(largest, dtype=np.uint64)
    zero = np.zeros(largest, np.uint64)
    crowds = [
        crowd("one hash", np.zeros((largest, 4), np.uint64)),
        crowd("all different, neighbours within a few bits", np.stack([number, zero, zero, zero], axis=1)),
    ]
    keep("near_duplicates", {"radius": NEAR, "runs": runs, "growth": growth, "all_pairs": against, "crowds": crowds})


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
