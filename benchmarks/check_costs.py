"""What each check costs per image, as a ratio to the plain network: calibration, novelty, face gate, stable answers.

A probe on MobileNetV2 with a face gate and stable answers, trained on a draw of faces. Every variant answers the same
files one by one, in turn, on one thread; the ratios are medians over rounds. «Plain» decodes, preprocesses and runs
the network up to its logits.

Run from the project's root: ``OMP_NUM_THREADS=1 python -m benchmarks.check_costs``.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import onnx
import onnxruntime

import facevalue as fv
from benchmarks.common import data, keep, mobilenet
from benchmarks.face_gate import DETECTOR
from benchmarks.remade import drawn
from facevalue.evidence.card import ONNX, ModelCard

INPUTS = 4
TRAINED, TIMED, ROUNDS = 120, 24, 9


def cut(folder: Path, output: str) -> onnxruntime.InferenceSession:
    """The part of ``model.onnx`` that this output needs, with the predictor's settings."""
    part = folder.parent / f"{output}.onnx"
    onnx.utils.extract_model(str(folder / ONNX), str(part), ["pixels"], [output])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(part), options, providers=["CPUExecutionProvider"])


def variants(folder: Path) -> dict[str, Callable[[bytes], object]]:
    """A function from file bytes to an answer, by name."""
    whole = ModelCard.load(folder).preprocessing.whole
    sessions = {output: cut(folder, output) for output in ("logits", "probabilities")}

    def network(output: str) -> Callable[[bytes], object]:
        return lambda file: sessions[output].run([output], {"pixels": whole.read(file)[None]})

    opened = {
        "calibration and novelty": fv.open(folder, gate="none", stable=0),
        "face gate": fv.open(folder, stable=0),
        "stable answers": fv.open(folder, gate="none"),
        "everything": fv.open(folder),
    }
    return {
        "plain": network("logits"),
        "calibration": network("probabilities"),
        **{name: predictor.predict_bytes for name, predictor in opened.items()},
    }


def main() -> None:
    table = drawn(data("real-or-ai-face"), 0)
    table = table.groupby("label").head(TRAINED)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "model"
        fv.train(
            table,
            folder,
            recipe="probe",
            weights=mobilenet(),
            groups="image",
            gate="face",
            gate_model=data(*DETECTOR),
            stable=INPUTS,
        )
        files = [Path(path).read_bytes() for path in table["path"].sample(TIMED, random_state=0)]
        answers = variants(folder)
        timed: dict[str, list[float]] = {name: [] for name in answers}
        for number in range(1 + ROUNDS):
            for name, answer in answers.items():
                start = time.perf_counter()
                for file in files:
                    answer(file)
                if number:  # the first round warms up
                    timed[name].append(1000 * (time.perf_counter() - start) / len(files))
    plain = timed["plain"]
    rows = {
        name: {
            "milliseconds": median(times),
            "times_plain": median(one / base for one, base in zip(times, plain, strict=True)),
        }
        for name, times in timed.items()
    }
    for name, row in rows.items():
        print(f"{name:25} {row['milliseconds']:.1f} ms  {row['times_plain']:.2f} times the plain network")
    keep("check_costs", {"inputs": INPUTS, "files": TIMED, "rounds": ROUNDS, "checks": rows})


if __name__ == "__main__":
    main()
