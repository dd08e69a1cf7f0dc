"""Peak memory of one epoch in random order, for growing numbers of images.

``python -m benchmarks.batch_memory [--images 1000,100000]``. The files are hard links to 300 real images, resized
to 128 x 128, in a temporary folder; each run has its own process. ``held`` is the memory with the list of images,
before the first is decoded; ``peak`` is after the epoch. In the runs from disk every link counts as a separate image,
so that the cache has its real size.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

from benchmarks.common import data, keep

SIZE, BATCH, DISTINCT = 96, 32, 300


def links(folder: Path, n: int) -> None:
    """``n`` image files that use the disk space of :data:`DISTINCT`."""
    sources = sorted(data("human-or-object", "human").rglob("*.jpg"))[::10][:DISTINCT]
    for i, source in enumerate(sources[:n]):
        Image.open(source).convert("RGB").resize((128, 128)).save(folder / f"{i:07}.jpg", quality=85)
    for i in range(DISTINCT, n):
        os.link(folder / f"{i % DISTINCT:07}.jpg", folder / f"{i:07}.jpg")


def epoch(folder: Path, cache: Path | None) -> dict[str, float]:
    """One epoch in this process."""
    import numpy as np

    from facevalue.data.dataset import ImageDataset
    from facevalue.images.preprocessing import Preprocessing

    paths = tuple(sorted(folder.glob("*.jpg")))
    images = ImageDataset(
        paths=paths,
        labels=np.zeros(len(paths), np.int64),
        classes=("a", "b"),
        preprocessing=Preprocessing(size=SIZE),
        facts=tuple(f"{hashlib.sha256(path.name.encode()).hexdigest()} a train" for path in paths),
    )
    held = peak()
    if cache is not None:
        images = images.cached(cache, 10**12)
        assert images.cache is not None
        assert len(images.cache) == len(paths)
    start = time.perf_counter()
    seen = sum(
        len(labels) for _, labels in images.take(np.random.default_rng(0).permutation(len(paths))).batches(BATCH)
    )
    assert seen == len(paths)
    return {
        "held_mib": round(held, 1),
        "peak_mib": round(peak(), 1),
        "decoded_mib": round(len(paths) * SIZE * SIZE * 3 / 2**20, 1),
        "epoch_seconds": round(time.perf_counter() - start, 1),
    }


def peak() -> float:
    """Peak memory of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", default="1000,100000")
    parser.add_argument("--epoch", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.epoch:
        folder, cache = given.epoch
        print(json.dumps(epoch(Path(folder), Path(cache) if cache else None)))
        return
    figures: dict[str, object] = {"size": SIZE, "batch": BATCH}
    for n in map(int, given.images.split(",")):
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary, "images")
            folder.mkdir()
            links(folder, n)
            for name, cache in (("decoded", ""), ("from_disk", str(Path(temporary, "network inputs")))):
                command = [sys.executable, "-m", "benchmarks.batch_memory", "--epoch", str(folder), cache]
                run = subprocess.run(command, check=True, capture_output=True, text=True)
                figures[f"{name}_{n}"] = json.loads(run.stdout)
                print(name, n, run.stdout.strip(), flush=True)
    keep("batch_memory", figures)


if __name__ == "__main__":
    main()
