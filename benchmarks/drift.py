"""The drift alarm and the estimate of accuracy on real images.

Run from the project's root: ``python -m benchmarks.drift [STREAMS [MODEL [ORIGIN_MODEL]]]``.

A probe on MobileNetV2 learns human or object. Streams are drawn with replacement from its test split. After 500 such
images each change sets in: saved as JPEG at quality 40 or 20, faces of another camera and collection (UTKFace), and
strangers (renderings of horses) in the place of one image of five, as their files are and saved at the quality of the
other images. An image has the same scores each time it is drawn, which is harder than life: the pool of a thousand is
never quite like the calibration split.

The estimates of accuracy are compared with the accuracy on changed images of the probe, and of one that tells
photographed from AI-generated faces and is often wrong.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from benchmarks.changed_images import CHANGES, jpeg
from benchmarks.common import data, facevalue, keep, mobilenet
from facevalue.data.input_facts import detail, jpeg_quality
from facevalue.evidence.card import MANIFEST
from facevalue.evidence.score_reference import ScoreReference, margins
from facevalue.runtime import Predictor, open_folder
from facevalue.runtime.drift import DriftMonitor, Watched

CALM, LENGTH, SOON = 500, 10_000, 300
SHIFTED = 250
"""Images of each changed set that the estimates are compared on."""


class Scored(NamedTuple):
    """An image's watched statistics, its confidence, and whether the prediction is right (of strangers never)."""

    watched: Watched
    confidence: float
    right: bool


Labelled = list[tuple[bytes, str | None]]


def scored(predictor: Predictor, images: Iterable[tuple[bytes, str | None]]) -> list[Scored]:
    found = []
    for image, label in images:
        pixels = predictor.pixels_of(image)
        (prediction,), outputs = predictor.predict_pixels(pixels[None])
        margin = float(margins(outputs["logits"])[0])
        watched = Watched(float(outputs["novelty"][0]), margin, detail(pixels), jpeg_quality(image))
        found.append(Scored(watched, prediction.confidence or 0.0, prediction.leaning == label))
    return found


def trained(folder: Path, images: Path) -> Path:
    arguments = ("--recipe", "probe", "--network", "mobilenetv2_100", "--weights", mobilenet())
    facevalue("train", str(images), "-o", str(folder), *arguments)
    return folder


def split_of(model: Path, split: str) -> Labelled:
    table = pd.read_parquet(model / MANIFEST)
    rows = table.loc[table["split"] == split]
    return [(Path(path).read_bytes(), label) for path, label in zip(rows["path"], rows["label"], strict=True)]


def all_of(folder: Path, label: str | None) -> Labelled:
    return [(path.read_bytes(), label) for path in sorted(folder.rglob("*.jpg"))[:300]]


def referenced(predictor: Predictor, calibration: list[Scored]) -> ScoreReference:
    """The card's, or of a card from before these statistics the same from the calibration images."""
    reference = predictor.card.reference
    if reference is not None and reference.detail:
        return reference
    columns = list(zip(*(one.watched for one in calibration), strict=True))
    logits = np.stack([np.array(columns[1]), np.zeros(len(calibration))], axis=1)
    return ScoreReference.of("calibration", np.array(columns[0]), logits, columns[2], columns[3])


def estimates(calibration: list[Scored], shifted: list[Scored]) -> dict[str, float]:
    """Estimates of accuracy: average confidence, difference of confidences, and a threshold on confidence (ATC)."""
    before = np.array([one.confidence for one in calibration])
    now = np.array([one.confidence for one in shifted])
    right = float(np.mean([one.right for one in calibration]))
    margin = [one.watched.margin for one in calibration]
    threshold = np.quantile(margin, 1 - right)
    return {
        "average_confidence": float(now.mean()),
        "difference_of_confidences": right - float(before.mean() - now.mean()),
        "thresholded_confidence": float(np.mean([one.watched.margin >= threshold for one in shifted])),
        "as_on_calibration_images": right,
    }


def errors(predictor: Predictor, calibration: list[Scored], sets: dict[str, Labelled]) -> dict[str, dict[str, float]]:
    """By set: the accuracy, and the estimates of it."""
    found = {}
    for name, images in sets.items():
        shifted = scored(predictor, images)
        accuracy = float(np.mean([one.right for one in shifted]))
        found[name] = {"n": len(shifted), "accuracy": accuracy, **estimates(calibration, shifted)}
        print(name, found[name])
    return found


def changed(images: Labelled) -> dict[str, Labelled]:
    chosen = [images[i] for i in np.random.default_rng(1).permutation(len(images))[:SHIFTED]]
    return {name: [(change(image), label) for image, label in chosen] for name, change in CHANGES.items()}


def alarm_after(monitor: DriftMonitor, stream: Iterable[Scored]) -> int | None:
    return next((i for i, one in enumerate(stream, start=1) if monitor.observe(one.watched)), None)


def main(streams: int = 100, model: str | None = None, origin_model: str | None = None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        first = Path(model) if model else trained(Path(folder) / "model", data("human-or-object"))
        second = Path(origin_model) if origin_model else trained(Path(folder) / "origin", data("real-or-ai-face"))
        predictor, other = open_folder(first), open_folder(second)
        test, calibration = split_of(first, "test"), scored(predictor, split_of(first, "calibration"))
        other_test, other_calibration = split_of(second, "test"), scored(other, split_of(second, "calibration"))
    reference = referenced(predictor, calibration)
    calm = scored(predictor, test)
    camera = all_of(data("unseen-faces", "real"), "human")
    horses = all_of(data("horse-or-human-rgb300", "horses"), None)
    pools = {
        "jpeg-q40": scored(predictor, ((jpeg(40)(image), label) for image, label in test)),
        "jpeg-q20": scored(predictor, ((jpeg(20)(image), label) for image, label in test)),
        "another-camera": scored(predictor, camera),
    }
    strangers = {
        "strangers-20-percent": scored(predictor, horses),
        "strangers-20-percent-saved-alike": scored(predictor, ((jpeg(75)(image), None) for image, _ in horses)),
    }
    rng = np.random.default_rng(0)

    def draw(pool: list[Scored], n: int) -> list[Scored]:
        return [pool[i] for i in rng.integers(0, len(pool), n)]

    def mixed(pool: list[Scored], n: int) -> list[Scored]:
        return [s if rng.random() < 0.2 else c for s, c in zip(draw(pool, n), draw(calm, n), strict=True)]

    false = sum(alarm_after(DriftMonitor(reference, seed=i), draw(calm, LENGTH)) is not None for i in range(streams))
    print("false alarms:", false, "of", streams)
    figures: dict[str, object] = {
        "calibration_images": reference.n,
        "test_images": len(test),
        "streams": streams,
        "length": LENGTH,
        "false_alarms": false,
    }
    sources: dict[str, Callable[[int], list[Scored]]] = {
        **{name: lambda n, p=pool: draw(p, n) for name, pool in pools.items()},  # type: ignore[misc]
        **{name: lambda n, p=pool: mixed(p, n) for name, pool in strangers.items()},  # type: ignore[misc]
    }
    for name, source in sources.items():
        delays, told = [], Counter[str]()
        for i in range(20):
            monitor = DriftMonitor(reference, seed=i)
            if alarm_after(monitor, draw(calm, CALM)) is not None:
                continue
            delays.append(alarm_after(monitor, source(4 * SOON)) or 4 * SOON + 1)
            if monitor.alarm is not None:
                told[monitor.alarm.change] += 1
        figures[name] = {
            "streams": len(delays),
            "median_delay": statistics.median(delays),
            "within_300": sum(delay <= SOON for delay in delays) / len(delays),
            "told_as": dict(told),
        }
        print(name, figures[name])
    faces = {name: all_of(data("unseen-faces", *name.split("/")), name.split("/")[0]) for name in UNSEEN}
    accuracy = {
        "human-or-object": errors(predictor, calibration, {"another-camera": camera, **changed(test)}),
        "real-or-ai": errors(other, other_calibration, {**faces, **changed(other_test)}),
    }
    sets = [row for rows in accuracy.values() for row in rows.values()]
    figures["accuracy"] = accuracy
    figures["accuracy_error"] = {
        method: {"sets": len(sets), "mean": float(np.mean(apart)), "largest": float(np.max(apart))}
        for method in estimates(calibration, calm)
        for apart in [[abs(row[method] - row["accuracy"]) for row in sets]]
    }
    print(figures["accuracy_error"])
    keep("drift", figures)


UNSEEN = ("real/utkface", "ai/stylegan2-omi", "ai/stable-diffusion-2.1")

if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]), *sys.argv[2:4])
