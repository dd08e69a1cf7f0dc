"""Speed of decoding files to network inputs: against Pillow alone, threads against processes, decoded against cached.

``python -m benchmarks.decode_speed [--images 1000] [--rounds 3]``. The sides of every ratio run in turns; the best
round of each counts. The baseline is ``Image.open(path).convert("RGB").resize(...)``, as in most scripts.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from benchmarks.common import data, keep
from facevalue.data.dataset import ImageDataset
from facevalue.images.decoding import decode
from facevalue.images.preprocessing import Preprocessing
from facevalue.support import machine
from facevalue.support.files import sha256

SIZE = 224
WHOLE, REDUCED = Preprocessing(size=SIZE), Preprocessing(size=SIZE, jpeg_gap=2)
FOLDERS = (
    "horse-or-human-grey100",
    "horse-or-human-rgb300",
    "human-or-object/human",
    "human-or-object/object",
    "real-or-ai-face",
)
LARGE = (4000, 3000)

Read = Callable[[Path], Any]


def pillow(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BICUBIC))


def simple(path: Path) -> NDArray[np.uint8]:
    """The same with simplejpeg, whose array must become a Pillow image for resampling."""
    array = simplejpeg.decode_jpeg(path.read_bytes(), colorspace="RGB")
    image = Image.frombuffer("RGB", (array.shape[1], array.shape[0]), array, "raw", "RGB", 0, 1)
    return np.asarray(image.resize((SIZE, SIZE), Image.Resampling.BICUBIC))


def whole(path: Path) -> NDArray[np.uint8]:
    return WHOLE.read(path.read_bytes())


def reduced(path: Path) -> NDArray[np.uint8]:
    return REDUCED.read(path.read_bytes())


def pillow_decodes(path: Path) -> Any:
    return decode(path.read_bytes())


def simple_decodes(path: Path) -> Any:
    return simplejpeg.decode_jpeg(path.read_bytes(), colorspace="RGB")


def best(sides: dict[str, Callable[[], None]], rounds: int, images: int) -> dict[str, float]:
    """Images per second of each side in its best round; the sides run in turns."""
    seconds = dict.fromkeys(sides, float("inf"))
    for _ in range(rounds):
        for name, side in sides.items():
            start = time.perf_counter()
            side()
            seconds[name] = min(seconds[name], time.perf_counter() - start)
    return {f"{name}_per_second": round(images / taken, 1) for name, taken in seconds.items()}


def one_by_one(files: Sequence[Path], rounds: int, reads: dict[str, Read]) -> dict[str, Any]:
    """Each way of decoding, in one thread."""

    def all_of(read: Read) -> Callable[[], None]:
        return lambda: [read(path) for path in files] and None

    figures: dict[str, Any] = best({name: all_of(read) for name, read in reads.items()}, rounds, len(files))
    names = list(reads)
    for name in names[1:]:
        figures[f"{name}_over_{names[0]}"] = round(figures[f"{name}_per_second"] / figures[f"{names[0]}_per_second"], 2)
    return {"n": len(files), **figures}


def difference(files: Sequence[Path]) -> dict[str, Any]:
    """Differences in levels: facevalue against Pillow alone, and reduced against full-size decoding."""
    rows = [(pillow(path).astype(int), whole(path).astype(int), reduced(path).astype(int)) for path in files]
    gaps = [np.abs(b - c) for _, b, c in rows]
    return {
        "largest_level_from_pillow": int(max(np.abs(a - b).max() for a, b, _ in rows)),
        "reduced_mean_level": round(float(np.mean([gap.mean() for gap in gaps])), 3),
        "reduced_largest_level": int(max(gap.max() for gap in gaps)),
    }


def large(folder: Path, files: Sequence[Path]) -> list[Path]:
    """Photographs of 12 million pixels, enlarged from real ones, with a sensor's noise."""
    made = []
    for i, path in enumerate(files):
        enlarged = np.asarray(Image.open(path).convert("RGB").resize(LARGE, Image.Resampling.BICUBIC)).astype(np.int16)
        enlarged += np.random.default_rng(i).normal(0, 3, enlarged.shape).astype(np.int16)
        made.append(folder / f"{i}.jpg")
        Image.fromarray(np.clip(enlarged, 0, 255).astype(np.uint8)).save(made[-1], quality=90)
    return made


@contextmanager
def lock_held() -> Iterator[None]:
    """A thread that computes in Python all the time, like an inefficient training loop."""
    stop = threading.Event()

    def compute() -> None:
        while not stop.is_set():
            sum(range(1000))

    thread = threading.Thread(target=compute)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def workers(files: Sequence[Path], rounds: int) -> dict[str, Any]:
    """One thread, several threads and several processes; all return network inputs to this process."""

    def in_threads() -> None:
        for _ in machine.in_order(whole, files, ahead=128):
            pass

    with ProcessPoolExecutor(machine.cores(), mp_context=multiprocessing.get_context("spawn")) as pool:
        list(pool.map(whole, files[:64]))  # start the processes before the timing

        def in_processes() -> None:
            for _ in pool.map(whole, files, chunksize=4):
                pass

        sides = {"one": lambda: [whole(p) for p in files] and None, "threads": in_threads, "processes": in_processes}
        alone: dict[str, Any] = best(sides, rounds, len(files))
        del sides["one"]
        with lock_held():
            beside = best(sides, rounds, len(files))
    alone["threads_over_one"] = round(alone["threads_per_second"] / alone["one_per_second"], 2)
    for figures in (alone, beside):
        figures["threads_over_processes"] = round(figures["threads_per_second"] / figures["processes_per_second"], 2)
    return {"n": len(files), "alone": alone, "beside_a_thread_that_holds_the_lock": beside}


def from_disk(folder: Path, files: Sequence[Path], rounds: int) -> dict[str, Any]:
    """An epoch in random order: decoded, and from the cache."""
    plain = ImageDataset(
        paths=tuple(files),
        labels=np.zeros(len(files), np.int64),
        classes=("a", "b"),
        preprocessing=WHOLE,
        facts=tuple(f"{sha256(path)} a train" for path in files),
    )
    start = time.perf_counter()
    held = plain.cached(folder, 10**12)
    assert held.cache is not None
    filled = time.perf_counter() - start
    order = np.random.default_rng(0).permutation(len(files))

    def epoch(dataset: ImageDataset) -> None:
        for _ in dataset.take(order).batches(32):
            pass

    figures = best({"decoded": lambda: epoch(plain), "cached": lambda: epoch(held)}, rounds, len(files))
    return {
        "n": len(files),
        "fill_seconds": round(filled, 2),
        **figures,
        "cached_over_decoded": round(figures["cached_per_second"] / figures["decoded_per_second"], 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1000, help="of each folder")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    chosen: dict[str, list[Path]] = {}
    for name in FOLDERS:
        files = sorted(p for p in data(*name.split("/")).rglob("*") if p.suffix in (".jpg", ".png"))
        chosen[name] = random.Random(0).sample(files, min(given.images, len(files)))
    figures: dict[str, Any] = {"size": SIZE}
    for name, files in chosen.items():
        jpeg = files[0].suffix == ".jpg"
        reads: dict[str, Read] = {"pillow": pillow, "facevalue": whole} | ({"simplejpeg": simple} if jpeg else {})
        figures[name] = one_by_one(files, given.rounds, reads) | difference(files[:200])
        if jpeg:
            bare: dict[str, Read] = {"facevalue": pillow_decodes, "simplejpeg": simple_decodes}
            figures[name]["decoding_alone"] = one_by_one(files, given.rounds, bare)
        print(name, figures[name], flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        photos = large(Path(temporary), chosen["human-or-object/object"][: max(4, given.images // 50)])
        reads = {"pillow": pillow, "facevalue": whole, "facevalue_gap_2": reduced, "simplejpeg": simple}
        figures["4000x3000"] = one_by_one(photos, given.rounds, reads) | difference(photos)
        print("4000x3000", figures["4000x3000"], flush=True)
        small = [*chosen["human-or-object/human"], *chosen["real-or-ai-face"]]
        figures["workers"] = workers(small, given.rounds)
        print("workers", figures["workers"], flush=True)
        figures["epochs"] = from_disk(Path(temporary) / "network inputs", small, given.rounds)
        print("epochs", figures["epochs"], flush=True)
    keep("decode_speed", figures)


if __name__ == "__main__":
    main()
