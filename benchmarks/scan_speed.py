"""Speed of ``facevalue data scan``, without and with its cache, against imagededup and plain Pillow, in one run.

Cold and warm refer to facevalue's own cache; the files are always in the page cache. imagededup needs other package
versions and so another Python: ``IMAGEDEDUP_PYTHON=/path/to/python``. Without it that row is left out, with a note. Run
from the project's root: ``python -m benchmarks.scan_speed [MOST]``.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from PIL import Image

from benchmarks.common import data, keep
from facevalue.data.scan import scan
from facevalue.support import machine

SETS = ("horse-or-human-grey100", "horse-or-human-rgb300", "human-or-object", "real-or-ai-face", "faces-by-source")
PEER = """
import sys, time
from imagededup.methods import PHash
hasher = PHash(verbose=False)
start = time.perf_counter()
hashes = hasher.encode_images(image_dir=sys.argv[1], recursive=True)
print(len(hashes), time.perf_counter() - start)
"""


def decoded(path: Path) -> tuple[int, int]:
    """Plain Pillow: decode the whole image as RGB."""
    with Image.open(path) as image:
        return image.convert("RGB").size


def rate(n: int, work: Callable[[], object]) -> dict[str, float]:
    """Seconds, and files per second."""
    start = time.perf_counter()
    work()
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "files_a_second": n / seconds}


def by_processes(paths: Sequence[Path]) -> list[tuple[int, int]]:
    """Plain Pillow in a process for each core; the processes are started too."""
    with ProcessPoolExecutor(machine.cores()) as pool:
        return list(pool.map(decoded, paths, chunksize=32))


def peer(folder: Path) -> dict[str, float | str]:
    """Only imagededup's PHash, with a process for each core: no checksum, no file facts, no audit."""
    python = os.environ.get("IMAGEDEDUP_PYTHON")
    if python is None:
        print("imagededup: not measured; set IMAGEDEDUP_PYTHON to a Python that has it")
        return {"absent": "IMAGEDEDUP_PYTHON is not set"}
    done = subprocess.run([python, "-c", PEER, str(folder)], check=True, capture_output=True, text=True)
    n, seconds = done.stdout.split()[-2:]
    return {"seconds": float(seconds), "files": int(n), "files_a_second": int(n) / float(seconds)}


def main(most: int = 10**9) -> None:
    found = sorted(p for name in SETS for p in data(name).rglob("*") if p.suffix.lower() in (".png", ".jpg", ".jpeg"))
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        os.environ["FACEVALUE_CACHE"] = str(scratch / "cache")
        paths = found[:: max(1, len(found) // most)]
        for i, path in enumerate(paths):
            link = scratch / "set" / path.relative_to(data()).parts[0] / f"{i:06}{path.suffix}"
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path)
            path.read_bytes()
        n = len(paths)
        results = {
            "files": n,
            "scan, cold": rate(n, lambda: scan(scratch / "set")),
            "scan, warm": rate(n, lambda: scan(scratch / "set")),
            "Pillow, one thread": rate(n, lambda: [decoded(p) for p in paths]),
            "Pillow, threads": rate(n, lambda: list(machine.in_order(decoded, paths))),
            "Pillow, processes": rate(n, lambda: by_processes(paths)),
            "imagededup PHash": peer(scratch / "set"),
        }
    keep("scan_speed", results)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
