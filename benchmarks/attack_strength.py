"""Robust accuracy under our attacks and the Adversarial Robustness Toolbox's, with the same images and settings.

Run from the project's root: ``python -m benchmarks.attack_strength MODEL DATA [N]``, where MODEL is a model folder of
two classes (such as ``python -m benchmarks.robustness human-or-object --models DIR`` leaves in DIR) and DATA the folder
it was made from. Both sides are counted before rounding to 8 bits, as the toolbox does; ours after it too.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from benchmarks.attack_speed import Plain, images_of
from benchmarks.common import keep
from facevalue.models.classifier import Classifier
from facevalue.robustness.attacks.apgd import APGD
from facevalue.robustness.attacks.base import Attack, Threat
from facevalue.robustness.attacks.bim import BIM
from facevalue.robustness.attacks.cw import CW
from facevalue.robustness.attacks.deepfool import DeepFool
from facevalue.robustness.attacks.fgsm import FGSM
from facevalue.robustness.attacks.pgd import PGD
from facevalue.robustness.attacks.square import Square
from facevalue.robustness.attacks.suite import Suite
from facevalue.support import machine

STEPS, TRIALS, BATCH = 10, 200, 50
LEVELS = (1, 2)
Theirs = Callable[[Any, Threat], Any]
"""Takes an estimator and a threat, returns an attack of the toolbox."""


def threat_of(norm: Any, levels: float, side: int) -> Threat:
    """A threat of this many grey levels: the maximum (``linf``) or the root mean square over the image (``l2``)."""
    return Threat(norm, levels / 255 * (1 if norm == "linf" else np.sqrt(3) * side))


def pairs() -> Iterator[tuple[str, str, Attack, Theirs]]:
    """Name, norm, our attack, theirs. The toolbox's C&W and DeepFool minimise the L2 perturbation for any eps."""
    from art.attacks import evasion

    quiet: dict[str, Any] = {"batch_size": BATCH, "verbose": False}

    def order(threat: Threat) -> float:
        return np.inf if threat.norm == "linf" else 2

    def steps(e: Any, t: Threat, random: int) -> Any:
        length = 2.5 * t.eps / STEPS
        return evasion.ProjectedGradientDescentPyTorch(
            e, norm=order(t), eps=t.eps, eps_step=length, max_iter=STEPS, num_random_init=random, **quiet
        )

    def apgd(e: Any, t: Threat) -> Any:
        return evasion.AutoProjectedGradientDescent(
            e, norm=order(t), eps=t.eps, eps_step=2 * t.eps, max_iter=100, nb_random_init=1, **quiet
        )

    def pixels(e: Any, t: Threat) -> Any:
        return evasion.SquareAttack(e, norm=order(t), eps=t.eps, max_iter=TRIALS, p_init=0.8, **quiet)

    for norm in ("linf", "l2"):
        yield "fgsm", norm, FGSM(), lambda e, t: evasion.FastGradientMethod(e, norm=order(t), eps=t.eps, batch_size=50)
        yield "bim", norm, BIM(steps=STEPS, reach=2.5), lambda e, t: steps(e, t, 0)
        yield "pgd", norm, PGD(steps=STEPS), lambda e, t: steps(e, t, 1)
        yield "apgd", norm, APGD(), apgd
        yield "square", norm, Square(trials=TRIALS), pixels
    yield "deepfool", "l2", DeepFool(), lambda e, _: evasion.DeepFool(e, max_iter=50, epsilon=0.02, **quiet)
    yield (
        "cw",
        "l2",
        CW(searches=5, steps=20),
        lambda e, _: evasion.CarliniL2Method(
            e, learning_rate=0.02, initial_const=1.0, binary_search_steps=5, max_iter=20, **quiet
        ),
    )


def left(classifier: Classifier, found: np.ndarray[Any, Any], x: torch.Tensor, y: torch.Tensor, threat: Threat) -> Any:
    """(n,) images that stay correct; perturbations outside the ball do not count."""
    inside = threat.distance(torch.from_numpy(found), x) <= threat.eps + 1e-6
    tried = torch.where(inside[:, None, None, None], torch.from_numpy(found), x)
    with torch.no_grad():
        return ((classifier.decide(classifier.logits(tried)) == y) & right(classifier, x, y)).numpy()


def right(classifier: Classifier, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """(n,) clean images that are classified correctly."""
    with torch.no_grad():
        return classifier.decide(classifier.logits(x)) == y


def main(model: str, data: str, n: int = 100) -> None:
    from art.estimators.classification import PyTorchClassifier

    warnings.filterwarnings("ignore", category=RuntimeWarning)  # the toolbox divides by 0 where a window is empty
    machine.keep_memory()
    classifier, x, y = images_of(model, data, n)
    classifier.requires_grad_(False)
    side = x.shape[-1]
    estimator = PyTorchClassifier(
        Plain(classifier).eval(),
        torch.nn.CrossEntropyLoss(),
        input_shape=(3, side, side),
        nb_classes=len(classifier.card.classes),
        clip_values=(0, 1),
        device_type="cpu",
    )
    rows: list[dict[str, Any]] = []
    remembered: dict[str, Any] = {}
    for name, norm, ours, theirs in pairs():
        for levels in LEVELS:
            threat = threat_of(norm, levels, side)
            result = ours(classifier, x, y, threat)
            start = time.perf_counter()
            # C&W and DeepFool do not depend on eps: their result for the first eps is used for the others.
            free = name in ("cw", "deepfool")
            if not free or name not in remembered:
                np.random.seed(0)  # noqa: NPY002 - the toolbox draws from NumPy's global state
                remembered[name] = theirs(estimator, threat).generate(x.numpy(), y.numpy()).astype(np.float32)
            rows.append(
                {
                    "attack": name,
                    "norm": norm,
                    "eps": threat.eps,
                    "ours": result.robust_accuracy_unrounded,
                    "ours_rounded": result.robust_accuracy,
                    "toolbox": float(left(classifier, remembered[name], x, y, threat).mean()),
                    "seconds": result.seconds,
                    "toolbox_seconds": time.perf_counter() - start,
                }
            )
            print(rows[-1], file=sys.stderr, flush=True)
    suites = []
    # The default suite with fewer trials of the Square attack, which is not compared here.
    suite = Suite(
        parts=tuple((name, replace(a, trials=TRIALS) if isinstance(a, Square) else a) for name, a in Suite().parts)
    )
    for norm in ("linf", "l2"):
        for levels in LEVELS:
            threat = threat_of(norm, levels, side)
            result = suite(classifier, x, y, threat)
            beside = [row for row in rows if row["norm"] == norm and row["eps"] == threat.eps]
            suites.append(
                {
                    "norm": norm,
                    "eps": threat.eps,
                    "suite": result.robust_accuracy_unrounded,
                    "suite_rounded": result.robust_accuracy,
                    "strongest_single": min(min(row["ours"], row["toolbox"]) for row in beside),
                    "seconds": result.seconds,
                }
            )
            print(suites[-1], file=sys.stderr, flush=True)
    keep(
        "attack_strength",
        {
            "images": n,
            "clean_accuracy": float(right(classifier, x, y).double().mean()),
            "network": classifier.card.network.name,
            "side": side,
            "worst_for_us_in_points": 100 * max(row["ours"] - row["toolbox"] for row in rows),
            "worst_of_the_suite_in_points": 100 * max(s["suite"] - s["strongest_single"] for s in suites),
            "singles": rows,
            "suites": suites,
        },
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:4]))
