"""Ordinary ``predict`` by images per run of the network, with all threads in a run or a run on each thread.

The answers of all ways are compared. A short training makes the model. The ways run in turns, so that a slow phase of
the machine affects all.

Run from the project's root: ``python -m benchmarks.predict_batch [IMAGES] [ROUNDS]``.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from itertools import chain, islice
from pathlib import Path

import numpy as np

from benchmarks.common import data, keep, mobilenet

SIZES = (1, 2, 4, 8)


def main(images: int = 300, rounds: int = 3) -> None:
    import onnxruntime

    import facevalue as fv
    from facevalue.data.embedded import write_lfw_subset
    from facevalue.runtime import Predictor
    from facevalue.support import machine
    from facevalue.types import Prediction

    files = sorted(data("human-or-object").rglob("*.jpg"))[:images]

    def one_run(predictor: Predictor, size: int) -> Iterator[Prediction]:
        predictor.images_per_run = size
        return predictor.stream(files)

    def run_on_each_thread(predictor: Predictor, size: int) -> Iterator[Prediction]:
        read = partial(predictor._read, faces="largest", marks=None)
        inputs = chain.from_iterable(machine.in_order(read, ((str(file), file) for file in files), ahead=32))
        batches = iter(lambda: list(islice(inputs, size)), [])
        answer = partial(predictor._predictions, heat=False)
        return chain.from_iterable(machine.in_order(answer, batches, ahead=machine.threads()))

    with tempfile.TemporaryDirectory() as folder:
        model, lfw = Path(folder) / "model", write_lfw_subset(Path(folder) / "lfw")
        fv.train(lfw, model, recipe="probe", network="mobilenetv2_100", weights=mobilenet())
        shared, single = fv.open(model), fv.open(model)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        single._session = onnxruntime.InferenceSession(str(model / "model.onnx"), options)
        ways = {"all threads in a run": (one_run, shared), "a run on each thread": (run_on_each_thread, single)}
        found: dict[str, dict[str, list[float]]] = {}
        answers = []
        for _ in range(rounds):
            for name, (way, predictor) in ways.items():
                for size in SIZES:
                    wall, cpu = time.perf_counter(), time.process_time()
                    predictions = list(way(predictor, size))
                    spent = {"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}
                    row = found.setdefault(f"{name}, {size} images", {key: [] for key in spent})
                    for key, value in spent.items():
                        row[key].append(value)
                    answers.append(np.array([[*one.probabilities.values()] for one in predictions]))
    keep(
        "predict_batch",
        {
            "images": len(files),
            "threads": machine.threads(),
            "ways": found,
            "largest_probability_difference": float(max(np.abs(one - answers[0]).max() for one in answers)),
        },
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
