"""Repeated steps uphill inside the ball: what BIM and PGD share."""

from __future__ import annotations

import torch
from torch import Tensor

from facevalue.attacks.gradients import input_gradient, steepest
from facevalue.attacks.threat import Threat
from facevalue.attacks.victim import Victim


def ascend(model: Victim, start: Tensor, x: Tensor, y: Tensor, threat: Threat, steps: int, step: float) -> Tensor:
    """``steps`` steps of length ``step`` from ``start``, each projected to the ball around ``x``; (n, 3, s, s).

    A picture whose 8-bit rounding the classifier gets wrong is finished and costs nothing more.
    """
    x_adv = start.clone()
    active = torch.arange(len(x), device=x.device)
    for _ in range(steps):
        view, here, clean, truth = model.only(active), x_adv[active], x[active], y[active]
        gradient, logits = input_gradient(view, here, truth)
        going = ~broken_when_rounded(view, logits, here, clean, truth, threat)
        if not going.any():
            break
        if not going.all():
            active, here, clean, gradient = active[going], here[going], clean[going], gradient[going]
        x_adv[active] = threat.project(here + step * steepest(gradient, threat.norm), clean)
    return x_adv


def broken_when_rounded(model: Victim, logits: Tensor, x_adv: Tensor, x: Tensor, y: Tensor, threat: Threat) -> Tensor:
    """(n,) whether ``x_adv``, with these logits, is misclassified and is so after rounding to 8 bits too.

    Only those that are misclassified are rounded and asked about again.
    """
    broken = model.wrong(logits, y)
    if broken.any():
        view = model.only(broken)
        again = view.logits(threat.rounded(x_adv[broken], x[broken]))
        broken[broken.clone()] = view.wrong(again, y[broken])
    return broken
