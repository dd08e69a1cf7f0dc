"""Seconds to fit a probe's head with all its strengths, beside scikit-learn, on the same features in one run.

``facevalue`` is :func:`fit_probe`: standardise, project to the span of the images, fit every strength from the one
before in double precision, choose by validation loss at the best temperature. Idle threads sleep soon, as the command
line has it. ``scikit-learn`` is the usual pipeline: a ``StandardScaler`` and a ``LogisticRegression`` for each of the
same strengths, from zero, in single precision as the features have; the choice by validation loss is counted too.

Run from the project's root: ``python -m benchmarks.head_path [ROUNDS]``.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.common import keep, mobilenet
from benchmarks.frozen_features import frozen
from facevalue.evaluation.calibration_set import ORIGINAL
from facevalue.models.features import Features
from facevalue.support import machine
from facevalue.training.probe import fit_probe
from facevalue.training.recipe import configured
from facevalue.training.settings import ProbeSettings

SETS = ("horse-or-human", "human-or-object", "faces-by-source")


def plain(train: Features, validation: Features, settings: ProbeSettings) -> tuple[float, NDArray[np.float64]]:
    """Lowest validation loss of scikit-learn's pipelines, and the probabilities of that one."""
    found = []
    for strength in settings.strengths:
        model = make_pipeline(StandardScaler(), LogisticRegression(C=strength * 1000 / len(train), max_iter=500))
        p = model.fit(train.x.numpy(), train.y).predict_proba(validation.x.numpy())
        found.append((float(log_loss(validation.y, p)), p))
    return min(found, key=lambda one: one[0])


def seconds(work: Callable[[], object]) -> float:
    """Of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main(rounds: int = 5) -> None:
    recipe = configured("probe", named={"network": "mobilenetv2_100", "weights": mobilenet()})
    results = {}
    with TemporaryDirectory() as folder:
        for name, found in frozen(SETS, recipe, [ORIGINAL], Path(folder)):
            shares = {part: getattr(recipe.split, part) for part in ("validation", "calibration", "test")}
            places = found.splits(shares, 0)
            train, validation = found.of(places["train"]), found.of(places["validation"])
            k, settings = len(found.untrained.classes), recipe.probe
            ours = partial(fit_probe, (train.x, train.y), (validation.x, validation.y), k, settings)
            theirs = partial(plain, train, validation, settings)
            times: dict[str, list[float]] = {"facevalue": [], "scikit-learn": []}
            for _ in range(rounds):
                times["facevalue"].append(seconds(ours))
                times["scikit-learn"].append(seconds(theirs))
            median = {side: statistics.median(of_side) for side, of_side in times.items()}
            results[name] = {
                "images": len(train),
                "features": train.x.shape[1],
                "strengths": list(settings.strengths),
                "median_seconds": median,
                "ratio": median["facevalue"] / median["scikit-learn"],
                "seconds": times,
            }
    keep("head_path", {"sets": results})


if __name__ == "__main__":
    if machine.wait_briefly():  # read when the libraries are loaded, so in a new process
        sys.exit(subprocess.run([sys.executable, "-m", "benchmarks.head_path", *sys.argv[1:]], check=False).returncode)
    main(*map(int, sys.argv[1:]))
