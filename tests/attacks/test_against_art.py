"""On a trained network: no weaker than the Adversarial Robustness Toolbox with the same settings and pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from facevalue.attacks.base import Threat
from facevalue.attacks.bim import BIM
from facevalue.attacks.fgsm import FGSM
from facevalue.attacks.pgd import PGD
from facevalue.attacks.victim import Victim
from facevalue.classifier import Classifier, held_still

SIDE = 25
LEVELS = (1, 2, 4, 8)
STEPS = 10


def threat_of(norm: str, levels: int) -> Threat:
    """``levels`` grey levels: each at most (linf), or as root mean square over the picture (l2)."""
    return Threat(norm, levels / 255 * (1 if norm == "linf" else np.sqrt(3) * SIDE))


@pytest.fixture(scope="module")
def estimator(trained: Classifier) -> Any:
    from art.estimators.classification import PyTorchClassifier

    trained.eval()
    return PyTorchClassifier(
        trained, nn.CrossEntropyLoss(), input_shape=(3, SIDE, SIDE), nb_classes=2, clip_values=(0, 1), device_type="cpu"
    )


def order(norm: str) -> float:
    return np.inf if norm == "linf" else 2


def accuracy(classifier: Classifier, x: np.ndarray, y: Tensor) -> float:
    with torch.no_grad():
        return float((classifier.logits(torch.from_numpy(x)).argmax(dim=1) == y).double().mean())


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("levels", LEVELS)
def test_fgsm_gives_the_same_pictures(
    trained: Classifier, estimator: Any, some_faces: tuple[Tensor, Tensor], norm: str, levels: int
) -> None:
    from art.attacks.evasion import FastGradientMethod

    x, y = some_faces
    threat = threat_of(norm, levels)
    with held_still(trained):
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
