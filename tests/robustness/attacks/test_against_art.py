"""On a trained network: no weaker than the Adversarial Robustness Toolbox with the same settings and images."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from facevalue.models.classifier import Classifier, frozen
from facevalue.robustness.attacks.apgd import APGD
from facevalue.robustness.attacks.base import AttackResult, Threat
from facevalue.robustness.attacks.bim import BIM
from facevalue.robustness.attacks.cw import CW
from facevalue.robustness.attacks.deepfool import DeepFool
from facevalue.robustness.attacks.fab import FAB
from facevalue.robustness.attacks.fgsm import FGSM
from facevalue.robustness.attacks.pgd import PGD
from facevalue.robustness.attacks.square import Square
from facevalue.robustness.attacks.suite import Suite
from facevalue.robustness.attacks.victim import Victim

SIDE = 25
LEVELS = (1, 2, 4, 8)
STEPS = 10


def threat_of(norm: str, levels: int) -> Threat:
    """``levels`` grey levels: each at most (linf), or as root mean square over the image (l2)."""
    return Threat(norm, levels / 255 * (1 if norm == "linf" else np.sqrt(3) * SIDE))


class Single(nn.Module):
    """The classifier, for attacks that ask with doubles."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier.logits(x.float())


@pytest.fixture(scope="module")
def estimator(trained: Classifier) -> Any:
    from art.estimators.classification import PyTorchClassifier

    return PyTorchClassifier(
        Single(trained.eval()),
        nn.CrossEntropyLoss(),
        input_shape=(3, SIDE, SIDE),
        nb_classes=2,
        clip_values=(0, 1),
        device_type="cpu",
    )


def order(norm: str) -> float:
    return np.inf if norm == "linf" else 2


def accuracy(classifier: Classifier, x: np.ndarray, y: Tensor) -> float:
    with torch.no_grad():
        return float((classifier.logits(torch.from_numpy(x)).argmax(dim=1) == y).double().mean())


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("levels", LEVELS)
def test_fgsm_gives_the_same_images(
    trained: Classifier, estimator: Any, some_faces: tuple[Tensor, Tensor], norm: str, levels: int
) -> None:
    from art.attacks.evasion import FastGradientMethod

    x, y = some_faces
    threat = threat_of(norm, levels)
    with frozen(trained):
        victim = Victim(trained, y)
        ours = threat.project(FGSM().run(victim, x, threat, torch.Generator()), x)
    theirs = FastGradientMethod(estimator, norm=order(norm), eps=threat.eps, batch_size=100).generate(
        x.numpy(), y.numpy()
    )
    away = (ours - torch.from_numpy(theirs)).abs()
    # The sign of a gradient that is 0 up to float error is anyone's guess.
    assert float((away > 1e-5).double().mean()) < 1e-3
    result = FGSM()(trained, x, y, threat)
    assert float((~result.success_unrounded).double().mean()) <= accuracy(trained, theirs, y) + 1e-9


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("levels", LEVELS)
@pytest.mark.parametrize("name", ["bim", "pgd"])
def test_as_strong(
    trained: Classifier, estimator: Any, some_faces: tuple[Tensor, Tensor], norm: str, levels: int, name: str
) -> None:
    from art.attacks.evasion import ProjectedGradientDescentPyTorch

    x, y = some_faces
    threat = threat_of(norm, levels)
    ours = BIM(steps=STEPS, reach=2.5) if name == "bim" else PGD(steps=STEPS)
    np.random.seed(0)  # noqa: NPY002 - the toolbox draws from NumPy's global state
    theirs = ProjectedGradientDescentPyTorch(
        estimator,
        norm=order(norm),
        eps=threat.eps,
        eps_step=2.5 * threat.eps / STEPS,
        max_iter=STEPS,
        num_random_init=int(name == "pgd"),
        batch_size=100,
        verbose=False,
    ).generate(x.numpy(), y.numpy())
    result = ours(trained, x, y, threat)
    reference = accuracy(trained, theirs, y)
    assert float((~result.success_unrounded).double().mean()) <= reference + 0.01
    if norm == "linf" or levels > 1:  # of an L2 ball of one level a pixel, whole levels fill only a part
        assert result.robust_accuracy <= reference + 0.01


def robust_of_least(classifier: Classifier, x: Tensor, y: Tensor, found: np.ndarray, threat: Threat) -> float:
    """Accuracy where an attack that looks for the least perturbation counts only what is inside the ball."""
    inside = threat.distance(torch.from_numpy(found), x) <= threat.eps + 1e-6
    return accuracy(classifier, np.where(inside[:, None, None, None].numpy(), found, x.numpy()), y)


def unrounded(result: AttackResult) -> float:
    return result.robust_accuracy_unrounded


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")  # the toolbox divides by 0 where a window is empty
@pytest.mark.parametrize("name", ["deepfool", "cw-l2", "cw-linf", "square-linf", "square-l2"])
def test_least_perturbations_and_queries(
    trained: Classifier, estimator: Any, some_faces: tuple[Tensor, Tensor], name: str
) -> None:
    from art.attacks import evasion

    x, y = some_faces[0][::2], some_faces[1][::2]
    norm = "linf" if name.endswith("linf") else "l2"
    threats = [threat_of(norm, levels) for levels in (2, 4, 8)]
    np.random.seed(0)  # noqa: NPY002
    quiet = {"batch_size": 50, "verbose": False}
    if name == "deepfool":
        found = evasion.DeepFool(estimator, max_iter=50, epsilon=0.02, **quiet).generate(x.numpy(), y.numpy())
        references = [robust_of_least(trained, x, y, found, t) for t in threats]
        results = [DeepFool()(trained, x, y, t) for t in threats]
    elif name == "cw-l2":
        x, y = x[::3], y[::3]
        art = evasion.CarliniL2Method(
            estimator, learning_rate=0.02, initial_const=1.0, binary_search_steps=5, max_iter=20, **quiet
        )
        found = art.generate(x.numpy(), y.numpy())
        references = [robust_of_least(trained, x, y, found, t) for t in threats]
        results = [CW(searches=5)(trained, x, y, t) for t in threats]
    elif name == "cw-linf":
        x, y, threats = x[:8], y[:8], threats[2:]
        art = evasion.CarliniLInfMethod(
            estimator, max_iter=8, initial_const=0.1, largest_const=2.0, decrease_factor=0.7, **quiet
        )
        found = art.generate(x.numpy(), y.numpy())
        references = [robust_of_least(trained, x, y, found, t) for t in threats]
        results = [CW()(trained, x, y, t) for t in threats]
    else:
        threats = threats[2:]
        found = [
            evasion.SquareAttack(estimator, norm=order(norm), eps=t.eps, max_iter=200, p_init=0.8, **quiet).generate(
                x.numpy(), y.numpy()
            )
            for t in threats
        ]
        references = [accuracy(trained, f.astype(np.float32), y) for f in found]
        results = [Square(trials=200)(trained, x, y, t) for t in threats]
    for result, reference in zip(results, references, strict=True):
        assert result.robust_accuracy_unrounded <= reference + (0.04 if name.startswith("square") else 0.01)


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_the_suite_is_no_weaker_than_any(
    trained: Classifier, estimator: Any, some_faces: tuple[Tensor, Tensor], norm: str
) -> None:
    from art.attacks import evasion

    x, y = some_faces[0][::2], some_faces[1][::2]
    threat = threat_of(norm, 4)
    # As it is, but for the trials of a black box that has nothing to add here.
    parts = tuple((n, replace(a, trials=50) if n == "square" else a) for n, a in Suite().parts)
    suite = Suite(parts=parts)(trained, x, y, threat)
    singles = [
        a(trained, x, y, threat)
        for a in (FGSM(), BIM(), PGD(restarts=2), CW(steps=30, searches=4), DeepFool(), FAB(steps=40), APGD(steps=100))
    ]
    np.random.seed(0)  # noqa: NPY002
    theirs = evasion.AutoProjectedGradientDescent(
        estimator,
        norm=order(norm),
        eps=threat.eps,
        eps_step=2 * threat.eps,
        max_iter=100,
        nb_random_init=1,
        batch_size=50,
        loss_type="cross_entropy",
        verbose=False,
    ).generate(x.numpy(), y.numpy())
    assert unrounded(suite) <= min(map(unrounded, singles)) + 1e-9
    assert unrounded(suite) <= accuracy(trained, theirs, y) + 1e-9
