"""A linear head on frozen features, its strength chosen on validation."""

from __future__ import annotations

import copy
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from facevalue import metrics
from facevalue.calibration import fit_temperature

Scale = Literal["whole", "each"]


@dataclass(frozen=True)
class Probe:
    """A fitted head: ``weight`` (k, d), ``bias`` (k,), the strength chosen, and a history line a strength."""

    weight: Tensor
    bias: Tensor
    strength: float
    history: list[dict[str, Any]]

    def put_into(self, head: nn.Linear) -> None:
        """Copy into a network's last layer."""
        with torch.no_grad():
            head.weight.copy_(self.weight)
            head.bias.copy_(self.bias)


def fit_probe(
    train: tuple[Tensor, NDArray[np.int64]],
    validation: tuple[Tensor, NDArray[np.int64]],
    classes: int,
    strengths: Sequence[float],
    balanced: bool = False,
    scale: Scale = "whole",
) -> Probe:
    """Multinomial logistic regression with an L2 penalty on frozen features (Kornblith et al. 2019, arXiv:1805.08974).

    Features are centred, and scaled as a whole: scaling each would let those that hardly vary in training weigh as much
    as the rest. Where the weak ones are what matters, as in matrices of covariances, ``scale`` can say ``each``.

    Parameters
    ----------
    train, validation : features (n, d) and labels (n,).
    strengths : inverse penalties, as scikit-learn's ``C`` times 1000 over n, so that they mean the same for any n.
    balanced : whether every class weighs alike, however many pictures it has.
    scale : whether features are scaled by one number or by one ``each``, their deviation in training.

    Returns
    -------
    The most regularised probe whose validation loss is within one standard error of the lowest (Breiman et al. 1984),
    where a standard error is never less than one picture's nat. Losses are compared at each probe's own best
    temperature, since the temperature is fitted later: else the sharpest would win wherever validation is separable.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    x, y = train[0].double().numpy(), train[1]
    mean = x.mean(0)
    variances = x.var(0)
    floor = 1e-6 * variances.mean() + 1e-24  # a feature that never varies is not to be blown up
    unit = np.sqrt(variances + floor) if scale == "each" else np.sqrt(variances.mean() + floor)
    fitted, held_out = (x - mean) / unit, (validation[0].double().numpy() - mean) / unit
    basis = _span(fitted) if len(fitted) < fitted.shape[1] else None
    if basis is not None:
        fitted, held_out = fitted @ basis, held_out @ basis
    history: list[dict[str, Any]] = []
    tried: list[tuple[float, NDArray[np.float64], LogisticRegression]] = []
    model = LogisticRegression(max_iter=500, warm_start=True, class_weight="balanced" if balanced else None)
    for epoch, strength in enumerate(sorted(strengths)):
        start = time.perf_counter()
        model.set_params(C=strength * 1000 / len(y))
        with warnings.catch_warnings():
            # Nearly unpenalised fits of separable data go on for ever; their loss on validation judges them.
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(fitted, y)
        p, q = model.predict_proba(fitted), model.predict_proba(held_out)
        assert p.shape[1] == classes
        losses = _losses(q, validation[1])
        history.append(
            {
                "epoch": epoch,
                "phase": "probe",
                "strength": strength,
                "train_loss": metrics.nll(y, p),
                "train_accuracy": float((p.argmax(1) == y).mean()),
                "validation_loss": metrics.nll(validation[1], q),
                "validation_accuracy": float((q.argmax(1) == validation[1]).mean()),
                "seconds": time.perf_counter() - start,
            }
        )
        tried.append((strength, losses, copy.deepcopy(model)))
    lowest = min((losses for _, losses, _ in tried), key=lambda losses: float(losses.mean()))
    limit = lowest.mean() + max(lowest.std() / np.sqrt(len(lowest)), 1 / len(lowest))
    strength, _, chosen = next(entry for entry in tried if entry[1].mean() <= limit)
    coefficients, intercept = chosen.coef_, chosen.intercept_
    if basis is not None:
        coefficients = coefficients @ basis.T
    if classes == 2:  # one row: the log odds of the second class, shared out to two logits
        coefficients = np.concatenate([-coefficients, coefficients]) / 2
        intercept = np.concatenate([-intercept, intercept]) / 2
    weight = coefficients / unit
    return Probe(
        weight=torch.from_numpy(weight).float(),
        bias=torch.from_numpy(intercept - weight @ mean).float(),
        strength=strength,
        history=history,
    )


def _span(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """(d, r) orthonormal directions that hold all of x (n, d), r <= n < d.

    The penalised fit lies within them and is the same there, with as many numbers to find as there are pictures.
    """
    values, vectors = np.linalg.eigh(x @ x.T)
    kept = values > 1e-10 * values[-1]
    directions: NDArray[np.float64] = x.T @ (vectors[:, kept] / np.sqrt(values[kept]))
    return directions


def _losses(p: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """(n,) negative log-likelihoods in nats at the best temperature."""
    scores = torch.from_numpy(np.log(np.clip(p, 1e-300, 1)))
    scaled = torch.log_softmax(scores / fit_temperature(scores, labels), dim=1).numpy()
    losses: NDArray[np.float64] = -scaled[np.arange(len(labels)), labels]
    return losses
