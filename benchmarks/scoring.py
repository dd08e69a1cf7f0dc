"""``predict --parquet FOLDER`` beside its limits in the same run, and beside the usual PyTorch loop.

Run from the project's root: ``python -m benchmarks.scoring [--images N ...] [--rounds R] [--model FOLDER]``.

Each round measures, one after the other and each in a process of its own:

- ``decode``: reading and decoding the same files to network inputs, with as many threads as processors;
- ``inference``: the same engine on network inputs in memory;
- ``facevalue``: ``facevalue predict MODEL MANIFEST --parquet FOLDER``, rate and peak memory;
- both of these once more in bfloat16, which ``certify-runtimes`` allows on the card first;
- ``loader``: torchvision transforms in a ``DataLoader`` with as many workers as processors, batches of 32, and timm's
  network in eager mode; ``loader_keeps_memory`` is the same with glibc told to keep freed memory.

The files are LFW portraits of the measuring set; a manifest names them again and again to reach ``N``, so they come
from the page cache. Rates exclude the start of the process and the opening of the model; ``process_seconds`` has them.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from benchmarks.common import FACEVALUE, data, facevalue, keep, mobilenet
from benchmarks.predict_start import measured
from facevalue.runtime.scoring.engines import Precision

WARM = 32
IN_MEMORY = 256
FEW = 8
"""Files that a thread decodes before it takes the next ones."""
LOADER = 400
"""Images for the usual loop, so many that the start of its workers hardly counts."""


def decode(model: Path, files: list[str]) -> float:
    from facevalue.runtime import open_folder
    from facevalue.support import machine

    predictor = open_folder(model)

    def read(some: list[str]) -> None:
        for file in some:
            predictor.inputs_of((file, file))

    parts = [files[start : start + FEW] for start in range(0, len(files), FEW)]
    with ThreadPoolExecutor(machine.cores()) as pool:
        list(pool.map(read, parts[: WARM // FEW]))
        start = time.perf_counter()
        list(pool.map(read, parts))
        return len(files) / (time.perf_counter() - start)


def inference(model: Path, files: list[str], precision: Precision = "fp32") -> float:
    from facevalue.evidence.card import ONNX
    from facevalue.runtime import open_folder
    from facevalue.runtime.scoring import engines, pipeline
    from facevalue.support import machine

    predictor = open_folder(model)
    pixels = [predictor.inputs_of((file, file))[0].pixels for file in files[:IN_MEMORY]]
    assert all(one is not None for one in pixels)
    engine = engines.opened(predictor.card, model / ONNX, precision=precision)
    most = pipeline.ASKED_AHEAD * machine.threads()

    def answer(n: int) -> None:
        waiting: deque[Any] = deque()
        for one in islice(cycle(pixels), n):
            waiting.append(engine.submit(one))
            if len(waiting) > most:
                engine.result(waiting.popleft())
        while waiting:
            engine.result(waiting.popleft())

    answer(WARM)
    start = time.perf_counter()
    answer(len(files))
    seconds = time.perf_counter() - start
    engine.close()
    return len(files) / seconds


def loader(_: Path, files: list[str]) -> float:
    """What most scripts do."""
    from facevalue.models.networks import torchvision_ready

    torchvision_ready.ready()
    import timm
    import torch
    from PIL import Image
    from torch.utils.data import DataLoader, Dataset
    from torchvision import transforms

    class Images(Dataset[torch.Tensor]):
        transform = transforms.Compose(
            [
                transforms.Resize((224, 224), transforms.InterpolationMode.BICUBIC),
                transforms.ToTensor(),
                transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
            ]
        )

        def __len__(self) -> int:
            return len(files)

        def __getitem__(self, i: int) -> torch.Tensor:
            return self.transform(Image.open(files[i]).convert("RGB"))

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    network = timm.create_model("mobilenetv2_100", num_classes=2).eval()
    with torch.inference_mode():
        network(torch.zeros(32, 3, 224, 224))
        start = time.perf_counter()
        for batch in DataLoader(Images(), batch_size=32, num_workers=len(os.sched_getaffinity(0))):
            network(batch).softmax(1)
        return len(files) / (time.perf_counter() - start)


JOBS: dict[str, Callable[[Path, list[str]], float]] = {
    "decode": decode,
    "inference": inference,
    "inference_bf16": partial(inference, precision="bf16"),
    "loader": loader,
}
KEEPS_MEMORY = {
    "MALLOC_TRIM_THRESHOLD_": "2147483647",
    "MALLOC_TOP_PAD_": "67108864",
    "MALLOC_MMAP_MAX_": "0",
}


def rate(job: str, model: Path, manifest: Path, **environment: str) -> float:
    """Images per second of one job, in a process of its own."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.scoring",
        "--job",
        job,
        "--model",
        str(model),
        "--manifest",
        str(manifest),
    ]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, **environment})
    return float(done.stdout)


def ours(model: Path, manifest: Path, folder: Path, *flags: str) -> dict[str, float]:
    """One run of the command."""
    shutil.rmtree(folder / "out", ignore_errors=True)
    figures = folder / "figures.json"
    command = [
        FACEVALUE,
        "predict",
        str(model),
        str(manifest),
        "--parquet",
        str(folder / "out"),
        "--json",
        str(figures),
        *flags,
    ]
    seconds, megabytes = measured(command)
    found = json.loads(figures.read_text())
    return {
        "images_per_second": found["images_per_second"],
        "seconds": found["seconds"],
        "process_seconds": seconds,
        "peak_megabytes": megabytes,
    }


def listed(files: list[str], n: int, to: Path) -> Path:
    with to.open("w", newline="") as stream:
        write = csv.writer(stream)
        write.writerow(["path"])
        write.writerows([file] for file in islice(cycle(files), n))
    return to


def one_round(model: Path, manifest: Path, few: Path, folder: Path) -> dict[str, Any]:
    loops = {"loader": rate("loader", model, few), "loader_keeps_memory": rate("loader", model, few, **KEEPS_MEMORY)}
    decoding = rate("decode", model, manifest)
    found: dict[str, Any] = {"decode_per_second": decoding} | {f"{name}_per_second": v for name, v in loops.items()}
    for precision, job, flags in (("fp32", "inference", ()), ("bf16", "inference_bf16", ("--precision", "bf16"))):
        network, done = rate(job, model, manifest), ours(model, manifest, folder, *flags)
        mine = done["images_per_second"]
        found[precision] = {
            "inference_per_second": network,
            "facevalue": done,
            "of_slower_limit": mine / min(decoding, network),
            # The same processors decode and answer: an image takes the sum of both times.
            "of_both_in_turn": mine * (1 / decoding + 1 / network),
            **{f"times_{name}": mine / value for name, value in loops.items()},
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, nargs="+", default=[1000, 2000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--job", choices=JOBS)
    parser.add_argument("--manifest", type=Path)
    given = parser.parse_args()
    if given.job:
        with given.manifest.open(newline="") as stream:
            print(JOBS[given.job](given.model, [row["path"] for row in csv.DictReader(stream)]))
        return
    files = sorted(map(str, data("human-or-object", "human").rglob("*.jpg")))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        model = given.model or folder / "model"
        if given.model is None:
            arguments = ("--recipe", "probe", "--network", "mobilenetv2_100", "--weights", mobilenet())
            facevalue("train", str(data("horse-or-human-grey100")), "-o", str(model), *arguments)
        facevalue("certify-runtimes", str(model), "--targets", "openvino", "--limit", "200")
        few = listed(files, LOADER, folder / "few.csv")
        first = listed(files, given.images[0], folder / "first.csv")
        rounds = [one_round(model, first, few, folder) for _ in range(given.rounds)]
        growth = {str(n): ours(model, listed(files, n, folder / f"{n}.csv"), folder) for n in given.images[1:]}
    ratios = ("of_slower_limit", "of_both_in_turn", "times_loader", "times_loader_keeps_memory")
    keep(
        "scoring",
        {
            "network": "mobilenetv2_100 at 224 pixels",
            "files": f"{len(files)} LFW portraits of 250 pixels, named again and again",
            "images": given.images[0],
            "rounds": rounds,
            "median": {
                precision: {name: statistics.median(one[precision][name] for one in rounds) for name in ratios}
                for precision in ("fp32", "bf16")
            },
            "peak_megabytes": max(one["fp32"]["facevalue"]["peak_megabytes"] for one in rounds),
            "more_images": growth,
        },
    )


if __name__ == "__main__":
    main()
