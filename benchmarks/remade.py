"""Do answers change when an image is saved again? Flips by declared pipeline, with and without stable answers.

Probes on MobileNetV2 features, trained on a draw of each set; the test images are other ones. The flips are of model
folders as in use. Pipelines that the limits of stable answers were chosen on (``everyday``) and all others are also
counted apart. Results are added run by run.

Run from the project's root: ``python -m benchmarks.remade [--tasks faces,...] [--seeds 0,1,2] [--images N] [--add]``.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import facevalue as fv
from benchmarks.common import data, keep, kept, mobilenet
from facevalue.evaluation.metrics import exact
from facevalue.evidence.records import RemadeReport
from facevalue.images.remaking import EVERYDAY
from facevalue.models.classifier import Classifier

NAME = "remade"
INPUTS = 4
EACH = 250  # images of each class to draw from
SETS: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "human-or-object": (("human-or-object",), {"groups": "parent"}),
    "horse-or-human": (("horse-or-human-rgb300",), {"groups": "stem:^([a-z]+[0-9]+)"}),
    "faces": (("real-or-ai-face",), {"groups": "image"}),
}


def drawn(folder: Path, seed: int) -> pd.DataFrame:
    """A draw of each class: path and label."""
    rng = np.random.default_rng(seed)
    rows = []
    for place in sorted(path for path in folder.iterdir() if path.is_dir()):
        found = sorted(path for path in place.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
        chosen = [found[i] for i in np.sort(rng.permutation(len(found))[:EACH])]
        rows += [{"path": str(path), "label": place.name, "parent": path.parent.name} for path in chosen]
    return pd.DataFrame(rows)


def flips(report: RemadeReport) -> dict[str, Any]:
    """The figures of a report, and the flips of the pipelines that limits were chosen on and of the others."""
    names = {pipeline.name for pipeline in EVERYDAY}
    parts = {"everyday": [r for r in report.results if r.pipeline in names]}
    parts["others"] = [r for r in report.results if r.pipeline not in names]
    return {
        "n": report.n,
        "inputs": report.inputs,
        "accuracy": report.original_accuracy,
        "coverage": report.original_coverage,
        "mean_accuracy_remade": float(np.mean([r.accuracy for r in report.results])),
        "mean_coverage_remade": float(np.mean([r.coverage for r in report.results])),
        "flips": report.flips,
        "answers": report.answers,
        "flip_rate": report.flip_rate,
        "flip_rate_ci": report.flip_rate_ci,
        "images_flipped": report.images_flipped,
        "images_answered": report.images_answered,
        **{f"{part}_flips": [sum(r.flips for r in rows), sum(r.answers for r in rows)] for part, rows in parts.items()},
        "by_pipeline": {r.pipeline: [r.flips, r.answers, round(r.accuracy, 4)] for r in report.results},
        "findings": [w.code for w in report.warnings],
    }


def milliseconds(folder: Path, table: pd.DataFrame) -> dict[str, float]:
    """Time per image by number of network inputs, from file to answer; the best of three rounds."""
    paths = [*table["path"][:16], *table["path"][-16:]]
    found = {}
    for inputs in (0, 2, INPUTS):
        predictor = fv.open(folder, stable=inputs)
        predictor.predict(paths[:2])
        rounds = []
        for _ in range(3):
            start = time.perf_counter()
            predictor.predict(paths)
            rounds.append(1000 * (time.perf_counter() - start) / len(paths))
        found[str(max(1, inputs))] = round(min(rounds), 2)
    return found


def measure(task: str, seed: int, images: int, scratch: Path) -> dict[str, Any]:
    """One probe: flips of single and of stable answers, and of one that was trained on re-made images."""
    parts, options = SETS[task]
    table = drawn(data(*parts), seed)
    start = time.perf_counter()
    folder = scratch / f"{task}-{seed}"
    shared = {"recipe": "probe", "weights": mobilenet(), "seed": seed, **options}
    model: Classifier = fv.train(table, folder, stable=INPUTS, **shared)
    stability = model.card.stability
    assert stability is not None
    run: dict[str, Any] = {
        "seed": seed,
        "counts": model.card.data.counts,
        "support": stability.support,
        "calibration_flips": [stability.flips, stability.answers],
        "single": flips(fv.evaluate_remade(folder, table, stable=0, limit=images, seed=seed, save=False)),
        "stable": flips(fv.evaluate_remade(folder, table, limit=images, seed=seed, save=False)),
        "milliseconds_per_image": milliseconds(folder, table),
    }
    if task == "faces":
        other = fv.train(table, **shared, settings={"augment.remake": 1.0, "probe.copies": 1.0})
        run["trained_on_remade"] = flips(fv.evaluate_remade(other, table, limit=images, seed=seed))
    run["seconds"] = round(time.perf_counter() - start, 1)
    return run


def pooled(runs: list[dict[str, Any]], which: str) -> dict[str, Any]:
    """Flips over all seeds; the interval is exact and counts images, of which some are in several seeds."""
    rows = [run[which] for run in runs if which in run]
    flipped, answered = (sum(row[key] for row in rows) for key in ("images_flipped", "images_answered"))
    total = {key: sum(row[key] for row in rows) for key in ("flips", "answers")}
    parts = {part: np.sum([row[f"{part}_flips"] for row in rows], axis=0).tolist() for part in ("everyday", "others")}
    means = {
        key: float(np.mean([row[key] for row in rows])) for key in ("accuracy", "coverage", "mean_accuracy_remade")
    }
    return {
        **total,
        "flip_rate": total["flips"] / total["answers"] if total["answers"] else None,
        **{f"{part}_flip_rate": n / of if of else None for part, (n, of) in parts.items()},
        "images_flipped": [flipped, answered],
        "images_flipped_ci": exact(flipped, answered),
        **means,
        "mean_coverage_remade": float(np.mean([row["mean_coverage_remade"] for row in rows])),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", default=",".join(SETS))
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--add", action="store_true", help="to what is in the result, in place of it")
    given = parser.parse_args()
    runs: dict[str, list[dict[str, Any]]] = kept(NAME)["runs"] if given.add else {}
    with tempfile.TemporaryDirectory() as scratch:
        for seed in map(int, given.seeds.split(",")):
            for task in given.tasks.split(","):
                of_task = [run for run in runs.get(task, []) if run["seed"] != seed]
                runs[task] = [*of_task, measure(task, seed, given.images, Path(scratch))]
                kinds = ("single", "stable", "trained_on_remade")
                summary = {
                    name: {kind: pooled(of, kind) for kind in kinds if any(kind in run for run in of)}
                    for name, of in runs.items()
                }
                keep(NAME, {"inputs": INPUTS, "summary": summary, "runs": runs})


if __name__ == "__main__":
    main()
