"""Faithfulness of each explanation method, and its time: MobileNetV2 probes of horse-or-human and human-or-object.

Each probe is trained from 60 images of each class at 128 pixels. The test images that are explained are drawn evenly
from the classes. ``gain`` (insertion less deletion) and its interval are of the same images for every method. Run from
the project's root: ``python -m benchmarks.explanations [--images N]``.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import facevalue
from benchmarks.common import data, keep, mobilenet

OF_EACH = 60
SIZE = 128
TASKS = {"horse-or-human": ("horse-or-human-rgb300",), "human-or-object": ("human-or-object",)}
SUFFIXES = (".jpg", ".jpeg", ".png")


def subset(source: Path, into: Path, n: int) -> Path:
    """Links to ``n`` random images of each class, in the folders of the source."""
    for folder in sorted(path for path in source.iterdir() if path.is_dir()):
        files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
        for place in np.random.default_rng(0).permutation(len(files))[:n]:
            link = into / files[place].relative_to(source)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(files[place])
    return into


def measured(source: Path, images: int, folder: Path) -> dict[str, Any]:
    """The figures of one task."""
    chosen = subset(source, folder / "images", OF_EACH)
    model = facevalue.train(chosen, recipe="probe", network="mobilenetv2_100", weights=mobilenet(), size=SIZE, seed=0)
    test = model.card.evaluation("test")
    assert test is not None
    report = facevalue.evaluate_explanations(model, chosen, limit=images)
    rows = []
    for r in report.results:
        assert r.gain is not None
        assert r.seconds_per_image
        rows.append({**r.to_dict(), "gain_per_second": r.gain / r.seconds_per_image})
    return {
        "accuracy": test.accuracy,
        "test_n": test.n,
        "n": report.n,
        "random_insertion": report.random_insertion,
        "random_deletion": report.random_deletion,
        "results": rows,
        "refused": report.refused,
        "warnings": [w.text for w in report.warnings],
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=16)
    images = parser.parse_args().images
    figures: dict[str, Any] = {"network": "mobilenetv2_100", "size": SIZE, "of_each_class": OF_EACH}
    for task, parts in TASKS.items():
        with tempfile.TemporaryDirectory() as folder:
            figures[task] = measured(data(*parts), images, Path(folder))
    keep("explanations", figures)


if __name__ == "__main__":
    main()
