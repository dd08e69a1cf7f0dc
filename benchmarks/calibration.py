"""Calibration and the stated error on held-out images, as they are and after everyday damage; cost per image.

Run from the project's root: ``python -m benchmarks.calibration [--features FOLDER]``.

Four sets, one of them in two groupings, three seeds, a probe on MobileNetV2 with frozen features. 30 % of the images
calibrate: with 10 %, two of the sets have fewer images than the 299 that a stated error of 1 % takes.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.common import SEEDS, keep, kept, mean, mobilenet
from benchmarks.frozen_features import SETS, Frozen, Places, frozen
from facevalue.evaluation.answer_limits import CalibrationChoices
from facevalue.evaluation.calibration import calibrated
from facevalue.evaluation.calibration_set import ORIGINAL
from facevalue.evaluation.exact_bounds import upper_bound
from facevalue.evaluation.figures import figures
from facevalue.evaluation.novelty import with_novelty
from facevalue.evaluation.probability_figures import probability_figures
from facevalue.models.classifier import Classifier
from facevalue.robustness.corruptions.damage import EVERYDAY
from facevalue.training.methods import with_head
from facevalue.training.probe import fit_probe
from facevalue.training.recipe import Recipe, configured
from facevalue.training.strangers import StrangerSplit

SHARES = {"validation": 0.1, "calibration": 0.3, "test": 0.2}
ERROR = 0.01
GOALS = {ORIGINAL: 0.015, "jpeg-60": 0.03, "jpeg-40": 0.05}


def run(images: Frozen, strangers: StrangerSplit, recipe: Recipe, seed: int) -> dict[str, Any]:
    """One split: a probe, calibrated as ``train`` does it and with a stated error, on its test images."""
    at = images.splits(SHARES, seed)
    train, validation = images.of(at["train"]), images.of(at["validation"])
    probe = fit_probe((train.x, train.y), (validation.x, validation.y), 2, recipe.probe)
    headed = with_head(images.untrained, probe)
    drawn = strangers.novelty_data(headed, images.dataset.take(at["train"]), recipe)
    model, unseen = with_novelty(headed, train, drawn, images.of(at["calibration"]))
    start = time.perf_counter()
    some = images.calibration(at["calibration"], recipe.calibration.damaged)
    usual = calibrated(model, some, CalibrationChoices(), unseen)
    seconds = time.perf_counter() - start
    start = time.perf_counter()
    every = images.calibration(at["calibration"], None)
    stated = calibrated(model, every, CalibrationChoices(max_error=ERROR), unseen)
    promise = stated.card.abstention.stated_error
    assert promise is not None
    return {
        "seed": seed,
        "n": {name: len(places) for name, places in at.items()},
        "groups": {name: len(set(images.groups(places))) for name, places in at.items()},
        "method": usual.card.calibration.method,
        "temperature": usual.card.temperature,
        "log_loss": usual.card.calibration.log_loss,
        "calibration_seconds": round(seconds, 2),
        "calibration_seconds_stated": round(time.perf_counter() - start, 2),
        "promise": {
            "kept": promise.kept,
            "limit": promise.limit,
            "design_effect": promise.design_effect,
            "more": promise.more,
        },
        "test": {name: measured(images, name, at["test"], headed, usual, stated) for name in images.features},
    }


def measured(
    images: Frozen, name: str, places: Places, before: Classifier, usual: Classifier, stated: Classifier
) -> dict[str, Any]:
    """Figures on test images under one condition."""
    part, groups = images.of(places, name), images.groups(places)
    plain = probability_figures(part.y, part.probabilities(before), groups)
    report = figures(usual.card, part.y, part.probabilities(usual), part.novelty(usual), groups=groups)
    answers = figures(stated.card, part.y, part.probabilities(stated), part.novelty(stated), groups=groups)
    answered, right = np.sum(answers.answered), np.trace(np.array(answers.answered))
    return {
        "n": len(places),
        "accuracy": report.accuracy,
        "ece_before": plain.ece,
        "ece": report.ece,
        "ece_ci": report.ece_ci,
        "ece_by_chance": report.ece_by_chance,
        "ece_equal_mass": report.ece_equal_mass,
        "ece_classwise": report.ece_classwise,
        "brier": report.brier,
        "nll_before": plain.nll,
        "nll": report.nll,
        "aurc": report.aurc,
        "coverage": report.coverage,
        "stated": {
            "answered": int(answered),
            "coverage": answers.coverage,
            "wrong": int(answered - right),
            "error": None if not answered else float(1 - right / answered),
            "error_upper": upper_bound(int(answered - right), int(answered)),
        },
    }


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over seeds by condition, and whether the goals are met."""
    found: dict[str, Any] = {}
    for name in runs[0]["test"]:
        parts = [run["test"][name] for run in runs]
        ece = mean([part["ece"] for part in parts])
        held = [part["stated"]["coverage"] < 0.05 or part["stated"]["error"] <= ERROR for part in parts]
        found[name] = {
            "accuracy": mean([part["accuracy"] for part in parts]),
            "ece_before": mean([part["ece_before"] for part in parts]),
            "ece": ece,
            "ece_by_chance": mean([part["ece_by_chance"] for part in parts]),
            "ece_goal": GOALS.get(name),
            "ece_goal_met": None if name not in GOALS else ece <= GOALS[name],
            "stated_coverage": mean([part["stated"]["coverage"] for part in parts]),
            "stated_wrong": sum(part["stated"]["wrong"] for part in parts),
            "stated_answered": sum(part["stated"]["answered"] for part in parts),
            "stated_error_kept_in": f"{sum(held)} of {len(held)} seeds",
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--features", type=Path, help="folder of features from an earlier run, or to keep them in")
    parser.add_argument("--tasks", help="measure these of the sets, and keep the others' results")
    given = parser.parse_args()
    torch.set_num_threads(1)
    recipe = configured("probe", named={"network": "mobilenetv2_100", "weights": mobilenet()})
    table: dict[str, Any] = kept("calibration")["sets"] if given.tasks else {}
    names = given.tasks.split(",") if given.tasks else list(SETS)
    for name, images in frozen(names, recipe, (ORIGINAL, *EVERYDAY), given.features):
        strangers = StrangerSplit.of((), images.untrained.card.preprocessing, images.manifest)
        runs = [run(images, strangers, recipe, seed) for seed in SEEDS]
        table[name] = {"summary": summary(runs), "milliseconds_per_image": images.milliseconds, "runs": runs}
        for condition, row in table[name]["summary"].items():
            print(name, condition, row, flush=True)
        keep("calibration", {"shares": SHARES, "stated_error": ERROR, "sets": table})


if __name__ == "__main__":
    main()
