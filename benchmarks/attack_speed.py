"""Speed of our attacks and the Adversarial Robustness Toolbox's, with the same images and settings, in one run.

Measures seconds and robust accuracy of PGD-10 and FGSM at several eps, with and without glibc set to keep memory. Each
side runs in its own process, in turns. Then it measures the suite's time per image for growing numbers of images.

Run from the project's root: ``python -m benchmarks.attack_speed MODEL DATA [N] [ROUNDS] [SUITE_MODEL]``. MODEL is a
model folder, such as from ``facevalue train human-or-object --recipe probe --network mobilenetv2_100``; DATA is its
training folder; SUITE_MODEL is another model of DATA for the suite, which is slow on a large network input.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.common import keep
from facevalue.data.evaluation_data import evaluation_data
from facevalue.models.classifier import load
from facevalue.models.features import to_tensor
from facevalue.robustness.attacks import find
from facevalue.robustness.attacks.base import Threat
from facevalue.robustness.attacks.fgsm import FGSM
from facevalue.robustness.attacks.pgd import PGD
from facevalue.support import machine

STEPS, BATCH = 10, 32
LEVELS = (0.25, 1, 4)  # in 1/255: almost no image breaks, some break, all break
SUITE_N = (8, 16, 32)


def images_of(model: str, data: str, n: int) -> tuple[Any, torch.Tensor, torch.Tensor]:
    classifier = load(Path(model))
    some = evaluation_data(Path(model), classifier.card, Path(data)).images.some(n)
    return classifier, to_tensor(some.pixels()), torch.from_numpy(some.labels)


def of_ours(model: str, data: str, n: int) -> dict[str, Any]:
    """Seconds (evaluation included) and robust accuracy (before rounding, as in the toolbox) of our attack."""
    classifier, x, y = images_of(model, data, n)
    figures: dict[str, Any] = {}
    for name, attack in (("fgsm", FGSM()), ("pgd-10", PGD(steps=STEPS))):
        for levels in LEVELS:
            threat = Threat("linf", levels / 255)
            start = time.perf_counter()
            results = [
                attack(classifier, x[i : i + BATCH], y[i : i + BATCH], threat, seed=i) for i in range(0, n, BATCH)
            ]
            seconds = time.perf_counter() - start
            figures[f"{name} {levels}/255"] = {
                "seconds": seconds,
                "robust_accuracy_unrounded": float(
                    torch.cat([r.decisions_unrounded == r.labels for r in results]).double().mean()
                ),
                "robust_accuracy": float(torch.cat([r.decisions == r.labels for r in results]).double().mean()),
            }
    return figures


def of_toolbox(model: str, data: str, n: int) -> dict[str, Any]:
    """The same for the toolbox: its attack, then one forward pass to evaluate it."""
    from art.attacks.evasion import FastGradientMethod, ProjectedGradientDescentPyTorch
    from art.estimators.classification import PyTorchClassifier

    classifier, x, y = images_of(model, data, n)
    size = x.shape[-1]
    estimator = PyTorchClassifier(
        Plain(classifier).eval(),
        torch.nn.CrossEntropyLoss(),
        input_shape=(3, size, size),
        nb_classes=len(classifier.card.classes),
        clip_values=(0, 1),
        device_type="cpu",
    )
    pixels, truth = np.ascontiguousarray(x.numpy()), y.numpy()
    figures: dict[str, Any] = {}
    for name in ("fgsm", "pgd-10"):
        for levels in LEVELS:
            eps = levels / 255
            np.random.seed(0)  # noqa: NPY002 - the toolbox draws from NumPy's global state
            start = time.perf_counter()
            if name == "fgsm":
                attack = FastGradientMethod(estimator, eps=eps, batch_size=BATCH)
            else:
                attack = ProjectedGradientDescentPyTorch(
                    estimator,
                    eps=eps,
                    eps_step=PGD().reach * eps / STEPS,
                    max_iter=STEPS,
                    num_random_init=1,
                    batch_size=BATCH,
                    verbose=False,
                )
            found = attack.generate(pixels, truth)
            decided = estimator.predict(found, batch_size=BATCH)
            seconds = time.perf_counter() - start
            with torch.no_grad():
                answers = classifier.decide(torch.from_numpy(decided)).numpy()
            figures[f"{name} {levels}/255"] = {
                "seconds": seconds,
                "robust_accuracy_unrounded": float((answers == truth).mean()),
            }
    return figures


class Plain(torch.nn.Module):
    """The classifier for the toolbox: pixels in, logits out."""

    def __init__(self, classifier: Any) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier.logits(x.float())  # some of the toolbox's attacks pass float64


def of_suite(model: str, data: str, _n: int) -> dict[str, Any]:
    """Seconds per image of the suite at one eps, for growing numbers of images."""
    figures: dict[str, Any] = {}
    classifier, x, y = images_of(model, data, max(SUITE_N))
    for levels in (1, 4):
        for count in SUITE_N:
            # Images are sorted by class: take them at equal distances, so that the class shares are equal for every
            # count.
            rows = torch.arange(0, max(SUITE_N), max(SUITE_N) // count)
            result = find("suite")(classifier, x[rows], y[rows], Threat("linf", levels / 255))
            figures[f"{levels}/255, n = {count}"] = {
                "seconds": result.seconds,
                "seconds_per_image": result.seconds / count,
                "queries_per_image": float(result.queries.double().mean()),
                "robust_accuracy": result.robust_accuracy,
            }
    return figures


SIDES = {"ours": of_ours, "toolbox": of_toolbox, "suite": of_suite}


def one(side: str, model: str, data: str, n: int, kept: bool) -> dict[str, Any]:
    """Run one side in its own process."""
    command = [sys.executable, "-m", "benchmarks.attack_speed", "--side", side, model, data, str(n), str(int(kept))]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env={**os.environ})
    figures: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    return figures


def main(model: str, data: str, n: str = "64", rounds: str = "3", suite_model: str | None = None) -> None:
    runs: dict[str, list[dict[str, Any]]] = {}
    for _ in range(int(rounds)):
        for kept in (True, False):
            for side in ("ours", "toolbox"):
                runs.setdefault(f"{side}, {'kept memory' if kept else 'plain'}", []).append(
                    one(side, model, data, int(n), kept)
                )
    medians = {
        side: {what: statistics.median(run[what]["seconds"] for run in found) for what in found[0]}
        for side, found in runs.items()
    }
    ratios = {
        memory: {
            what: medians[f"ours, {memory}"][what] / medians[f"toolbox, {memory}"][what]
            for what in medians[f"ours, {memory}"]
        }
        for memory in ("kept memory", "plain")
    }
    # The defaults of each side: our command line keeps memory, the toolbox leaves that to its user.
    ratios["as delivered"] = {
        what: medians["ours, kept memory"][what] / medians["toolbox, plain"][what] for what in medians["toolbox, plain"]
    }
    keep(
        "attack_speed",
        {
            "images": int(n),
            "rounds": int(rounds),
            "batch": BATCH,
            "load_average": os.getloadavg(),
            "threads": torch.get_num_threads(),
            "median_seconds": medians,
            "ratio_of_ours_to_toolbox": ratios,
            "first_round": {side: found[0] for side, found in runs.items()},
            "suite": one("suite", suite_model or model, data, int(n), kept=True),
        },
    )


if __name__ == "__main__":
    if sys.argv[1] == "--side":
        side, model, data, n, kept = sys.argv[2:]
        if kept == "1":
            machine.keep_memory()
        print(json.dumps(SIDES[side](model, data, int(n))))
    else:
        main(*sys.argv[1:])
