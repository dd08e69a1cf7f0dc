"""Adapts a last layer to new images and keeps it close to its previous weights."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from facevalue.models.calibration.temperature import fit_temperature
from facevalue.models.randomness import own_random_state

STRENGTHS = (1.0, 1e1, 1e2, 1e3, 1e4)
"""Inverse penalty weights; validation chooses one."""


@own_random_state
def moved_head(
    head: nn.Linear,
    train: tuple[Tensor, NDArray[np.int64]],
    validation: tuple[Tensor, NDArray[np.int64]],
    strengths: Sequence[float] = STRENGTHS,
) -> tuple[nn.Linear, list[dict[str, Any]]]:
    """Refit a head on frozen features with a penalty on the distance from its previous weights.

    Minimises the class-balanced cross-entropy plus the squared distance from the previous weights, divided by twice the
    ``strength`` (L2-SP: Li et al. 2018, arXiv:1802.01483). The problem is convex, so L-BFGS finds its unique minimum.

    Parameters
    ----------
    head : as trained; not changed.
    train, validation : features (n, d) and labels (n,).
    strengths : larger values allow larger changes; for features scaled to a mean variance of 1.

    Returns
    -------
    The new head with the strength of lowest validation loss, and one history line per strength. The loss is taken at
    the best temperature of each head, because the temperature is fitted later.
    """
    x, y = train[0].double(), torch.from_numpy(train[1])
    scale = float(x.var(0).mean().sqrt().clamp_min(1e-12))
    counts = torch.bincount(y, minlength=head.out_features).double()
    balance = len(y) / (int((counts > 0).sum()) * counts.clamp_min(1))
    base = x @ head.weight.detach().double().T + head.bias.detach().double()
    history: list[dict[str, Any]] = []
    best: tuple[float, nn.Linear] | None = None
    for epoch, strength in enumerate(sorted(strengths)):
        start = time.perf_counter()
        step = torch.zeros(head.out_features, head.in_features + 1, dtype=torch.float64, requires_grad=True)
        optimiser = torch.optim.LBFGS([step], max_iter=300, tolerance_grad=1e-8, line_search_fn="strong_wolfe")
        loss_of = _objective(x / scale, y, base, balance, strength)

        def closure(step: Tensor = step, optimiser: Any = optimiser, loss_of: Any = loss_of) -> Tensor:
            optimiser.zero_grad()
            loss: Tensor = loss_of(step)
            loss.backward()  # type: ignore[no-untyped-call]
            return loss

        optimiser.step(closure)  # type: ignore[no-untyped-call]
        new = nn.Linear(head.in_features, head.out_features)
        with torch.no_grad():
            new.weight.copy_(head.weight + (step[:, :-1] / scale).float())
            new.bias.copy_(head.bias + step[:, -1].float())
        fitted, held_out = _figures(new, *train), _figures(new, *validation)
        line = {f"train_{k}": v for k, v in fitted.items()} | {f"validation_{k}": v for k, v in held_out.items()}
        seconds = time.perf_counter() - start
        history.append({"epoch": epoch, "phase": "head", "strength": strength, **line, "seconds": seconds})
        if best is None or held_out["loss"] < best[0]:
            best = (held_out["loss"], new)
    assert best is not None
    return best[1], history


def _objective(x: Tensor, y: Tensor, base: Tensor, balance: Tensor, strength: float) -> Any:
    def loss(step: Tensor) -> Tensor:
        logits = base + x @ step[:, :-1].T + step[:, -1]
        each = nn.functional.cross_entropy(logits, y, reduction="none") * balance[y]
        return each.mean() + step.square().sum() / (2 * strength)

    return loss


def _figures(head: nn.Linear, features: Tensor, labels: NDArray[np.int64]) -> dict[str, float]:
    with torch.no_grad():
        logits = head(features.float()).double()
    tempered = logits / fit_temperature(logits, labels)
    y = torch.from_numpy(labels)
    return {
        "loss": float(nn.functional.cross_entropy(tempered, y)),
        "accuracy": float((logits.argmax(1) == y).double().mean()),
    }
