"""The drift alarm on real images: false alarms on held-out images, and the delay until a change is reported.

Run from the project's root: ``python -m benchmarks.drift [STREAMS [MODEL]]``.

A probe on MobileNetV2 learns human or object. Streams are drawn with replacement from its test split's scores. After
500 such images each change sets in: saved as JPEG at quality 40, faces of another camera and collection (UTKFace),
strangers (renderings of horses) in the place of one image of five. An image has the same score each time it is drawn,
which is harder than life: the pool of a thousand is never quite like the calibration split.
"""

from __future__ import annotations

import io
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from benchmarks.common import data, facevalue, keep, mobilenet
from facevalue.evidence.card import MANIFEST
from facevalue.evidence.score_reference import ScoreReference, margins
from facevalue.runtime import Predictor, open_folder
from facevalue.runtime.drift import DriftMonitor

CALM, LENGTH, SOON = 500, 10_000, 300

Scores = list[tuple[float, float]]


def scores(predictor: Predictor, images: Iterable[bytes]) -> Scores:
    """Novelty and margin of each image."""
    found: Scores = []
    for image in images:
        _, outputs = predictor.predict_pixels(predictor.pixels_of(image)[None])
        found.append((float(outputs["novelty"][0]), float(margins(outputs["logits"])[0])))
    return found


def jpeg(quality: int) -> Callable[[bytes], bytes]:
    def saved(image: bytes) -> bytes:
        buffer = io.BytesIO()
        Image.open(io.BytesIO(image)).convert("RGB").save(buffer, "JPEG", quality=quality)
        return buffer.getvalue()

    return saved


def main(streams: int = 100, made_before: str | None = None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        model = Path(made_before or Path(folder) / "model")
        arguments = ("--recipe", "probe", "--network", "mobilenetv2_100", "--weights", mobilenet())
        if made_before is None:
            facevalue("train", str(data("human-or-object")), "-o", str(model), *arguments)
        predictor = open_folder(model)
        table = pd.read_parquet(model / MANIFEST)
        test, calibration = (
            [Path(path).read_bytes() for path in table.loc[table["split"] == split, "path"]]
            for split in ("test", "calibration")
        )
    reference = predictor.card.reference
    if reference is None:  # a card from before there were references
        found = np.array(scores(predictor, calibration))
        reference = ScoreReference.of("calibration", found[:, 0], np.stack([found[:, 1], 0 * found[:, 1]], axis=1))
    calm = scores(predictor, test)
    changed = {
        "jpeg-q40": scores(predictor, map(jpeg(40), test)),
        "jpeg-q20": scores(predictor, map(jpeg(20), test)),
        "another-camera": scores(
            predictor, (p.read_bytes() for p in sorted(data("unseen-faces", "real").rglob("*.jpg")))
        ),
    }
    strangers = scores(
        predictor,
        (p.read_bytes() for p in sorted(data("horse-or-human-rgb300", "horses").rglob("*.jpg"))[:300]),
    )
    rng = np.random.default_rng(0)

    def draw(pool: Scores, n: int) -> Scores:
        return [pool[i] for i in rng.integers(0, len(pool), n)]

    def mixed(n: int) -> Scores:
        return [s if rng.random() < 0.2 else c for s, c in zip(draw(strangers, n), draw(calm, n), strict=True)]

    def alarm_after(monitor: DriftMonitor, stream: Scores) -> int | None:
        return next((i for i, one in enumerate(stream, start=1) if monitor.observe(*one)), None)

    false = sum(alarm_after(DriftMonitor(reference, seed=i), draw(calm, LENGTH)) is not None for i in range(streams))
    figures: dict[str, object] = {
        "calibration_images": reference.n,
        "test_images": len(test),
        "streams": streams,
        "length": LENGTH,
        "false_alarms": false,
    }
    sources: dict[str, Callable[[int], Scores]] = {name: lambda n, p=pool: draw(p, n) for name, pool in changed.items()}  # type: ignore[misc]
    sources["strangers-20-percent"] = mixed
    for name, source in sources.items():
        delays, told = [], {}
        for i in range(20):
            monitor = DriftMonitor(reference, seed=i)
            if alarm_after(monitor, draw(calm, CALM)) is not None:
                continue
            delay = alarm_after(monitor, source(4 * SOON))
            delays.append(delay if delay is not None else 4 * SOON + 1)
            if monitor.alarm is not None:
                told[monitor.alarm.change] = told.get(monitor.alarm.change, 0) + 1
        figures[name] = {
            "streams": len(delays),
            "median_delay": statistics.median(delays),
            "within_300": sum(delay <= SOON for delay in delays) / len(delays),
            "told_as": told,
        }
        print(name, figures[name])
    print("false alarms:", false, "of", streams)
    keep("drift", figures)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]), *sys.argv[2:3])
