"""Calibration and the stated error on held-out images, as they are and after everyday damage; cost per image.

Run from the project's root: ``python -m benchmarks.calibration``.

Three sets, three seeds, a probe on MobileNetV2. The backbone is frozen, so features are computed once for each set and
condition. 30 % of the images calibrate: with 10 %, two of the sets have fewer images than the 299 that a stated error
of 1 % takes.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch

from benchmarks.common import SEEDS, data, keep, mean, mobilenet
from facevalue.data.dataset import dataset_of
from facevalue.data.groups import with_groups
from facevalue.data.scan import scan
from facevalue.data.sources import sources_of
from facevalue.data.splits import with_splits
from facevalue.evaluation.answer_limits import CalibrationChoices
from facevalue.evaluation.calibration import calibrated, with_novelty
from facevalue.evaluation.calibration_set import ORIGINAL, CalibrationSet, Condition
from facevalue.evaluation.figures import figures
from facevalue.evaluation.probability_figures import probability_figures
from facevalue.models.classifier import Classifier
from facevalue.models.features import Extractor, Features
from facevalue.robustness.corruptions.damage import EVERYDAY, Damage
from facevalue.training.methods import new_classifier, with_head
from facevalue.training.probe import fit_probe
from facevalue.training.recipe import Recipe, configured

SETS: dict[str, tuple[str, str | None]] = {
    "human-or-object": ("human-or-object", None),
    "horse-or-human": ("horse-or-human-rgb300", r"stem:^([a-z]+\d+)"),
    "real-or-ai-face": ("real-or-ai-face", None),
}
SHARES = {"validation": 0.1, "calibration": 0.3, "test": 0.2}
ERROR = 0.01
GOALS = {ORIGINAL: 0.015, "jpeg-60": 0.03, "jpeg-40": 0.05}


class Images:
    """A set, its features under every condition, and the cost of each per image."""

    def __init__(self, folder: str, groups: str | None, recipe: Recipe) -> None:
        self.manifest = with_groups(scan(data(folder)), groups)
        self.untrained = new_classifier(recipe, self.manifest.classes)
        preprocessing = self.untrained.card.preprocessing
        self.dataset = dataset_of(self.manifest, preprocessing, self.untrained.classes)
        extractor, every = Extractor(self.untrained), np.arange(len(self.dataset))
        self.features: dict[str, torch.Tensor] = {}
        self.milliseconds: dict[str, float] = {}
        for name in (ORIGINAL, *EVERYDAY):
            start = time.perf_counter()
            if name == ORIGINAL:
                self.features[name] = extractor.features(self.dataset)
            else:
                inputs = Damage.of(name).inputs(self.dataset, every, preprocessing)
                self.features[name] = extractor.of_inputs(inputs, len(every), name)
            self.milliseconds[name] = 1000 * (time.perf_counter() - start) / len(every)
            print(folder, name, f"{self.milliseconds[name]:.1f} ms per image", flush=True)

    def of(self, name: str, places: np.ndarray) -> Features:
        return Features(self.features[name][torch.from_numpy(places)], self.dataset.labels[places])

    def calibration(self, places: np.ndarray, most: int | None) -> CalibrationSet:
        chosen = self.dataset.take(places)
        parts = []
        for seed, name in enumerate(EVERYDAY):
            some = chosen.places(len(places) if most is None else most, seed)
            parts.append(Condition(name, some, self.of(name, places[some])))
        groups = [str(group) for group in chosen.rows["group"]]
        return CalibrationSet(self.of(ORIGINAL, places), tuple(parts), groups, sources_of(chosen.rows))


def run(images: Images, recipe: Recipe, seed: int) -> dict[str, Any]:
    """One split: a probe, calibrated as ``train`` does it and with a stated error, on its test images."""
    split = with_splits(images.manifest, SHARES, seed).readable["split"].to_numpy(str)
    at = {name: np.flatnonzero(split == name) for name in ("train", "validation", "calibration", "test")}
    train, validation = images.of(ORIGINAL, at["train"]), images.of(ORIGINAL, at["validation"])
    probe = fit_probe((train.x, train.y), (validation.x, validation.y), 2, recipe.probe)
    model = with_novelty(with_head(images.untrained, probe), train)
    start = time.perf_counter()
    usual = calibrated(model, images.calibration(at["calibration"], recipe.calibration.damaged), CalibrationChoices())
    seconds = time.perf_counter() - start
    start = time.perf_counter()
    stated = calibrated(model, images.calibration(at["calibration"], None), CalibrationChoices(max_error=ERROR))
    promise = stated.card.abstention.stated_error
    assert promise is not None
    return {
        "seed": seed,
        "n": {name: len(places) for name, places in at.items()},
        "groups": {name: int(images.dataset.rows["group"].iloc[places].nunique()) for name, places in at.items()},
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
        "test": {name: measured(images, name, at["test"], model, usual, stated) for name in images.features},
    }


def measured(
    images: Images, name: str, places: np.ndarray, before: Classifier, usual: Classifier, stated: Classifier
) -> dict[str, Any]:
    """Figures on test images under one condition."""
    part = images.of(name, places)
    groups = [str(group) for group in images.dataset.rows["group"].iloc[places]]
    plain = probability_figures(part.y, part.probabilities(before), groups)
    report = figures(usual.card, part.y, part.probabilities(usual), part.novelty(usual), groups)
    answers = figures(stated.card, part.y, part.probabilities(stated), part.novelty(stated), groups)
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
        },
    }


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over seeds by condition, and whether the goals are met."""
    found: dict[str, Any] = {}
    for name in runs[0]["test"]:
        parts = [run["test"][name] for run in runs]
        ece = mean([part["ece"] for part in parts])
        kept = [part["stated"]["coverage"] < 0.05 or part["stated"]["error"] <= ERROR for part in parts]
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
            "stated_error_kept_in": f"{sum(kept)} of {len(kept)} seeds",
        }
    return found


def main() -> None:
    torch.set_num_threads(1)
    recipe = configured("probe", named={"network": "mobilenetv2_100", "weights": mobilenet()})
    table: dict[str, Any] = {}
    for name, (folder, groups) in SETS.items():
        images = Images(folder, groups, recipe)
        runs = [run(images, recipe, seed) for seed in SEEDS]
        table[name] = {"summary": summary(runs), "milliseconds_per_image": images.milliseconds, "runs": runs}
        for condition, row in table[name]["summary"].items():
            print(name, condition, row, flush=True)
        keep("calibration", {"shares": SHARES, "stated_error": ERROR, "sets": table})


if __name__ == "__main__":
    main()
