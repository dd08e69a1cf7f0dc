"""Repeated steps uphill inside the ball, and the worst of several tries: what most attacks share."""

from __future__ import annotations

import torch
from torch import Tensor

from facevalue.robustness.attacks.gradients import input_gradient, steepest
from facevalue.robustness.attacks.threat import Threat
from facevalue.robustness.attacks.victim import Victim


def ascend(
    model: Victim, start: Tensor, x: Tensor, threat: Threat, steps: int, step: float, momentum: float = 0.0
) -> Tensor:
    """``steps`` steps of length ``step`` from ``start``, each projected to the ball around ``x``; (n, 3, s, s).

    An image whose 8-bit rounding the classifier gets wrong is finished and costs nothing more.

    Parameters
    ----------
    momentum : part of the former directions that is added to the gradient, each scaled to a mean absolute value of 1.
    """
    x_adv = start.clone()
    past = torch.zeros_like(x) if momentum else None
    active = torch.arange(len(x), device=x.device)
    for i in range(steps):
        view, here, clean = (model, start, x) if i == 0 else (model.only(active), x_adv[active], x[active])
        gradient, logits = input_gradient(view, here)
        going = ~broken_when_rounded(view, logits, here, clean, threat)
        if not going.any():
            break
        if not going.all():
            active, here, clean, gradient = active[going], here[going], clean[going], gradient[going]
        if past is not None:
            size = gradient.abs().mean(dim=(1, 2, 3), keepdim=True)
            gradient = momentum * past[active] + gradient / size.clamp_min(torch.finfo(size.dtype).tiny)
            past[active] = gradient
        x_adv[active] = threat.project(here + step * steepest(gradient, threat.norm), clean)
    return x_adv


def broken_when_rounded(model: Victim, logits: Tensor, x_adv: Tensor, x: Tensor, threat: Threat) -> Tensor:
    """(n,) whether the attacker has what he wants of ``x_adv``, with these logits, and after rounding to 8 bits too.

    Only those of which he has it before are rounded and asked about again. ``x_adv`` is in the ball.
    """
    broken = model.reached(logits)
    if broken.any():
        view = model.only(broken)
        again = view.logits(threat.rounded(x_adv[broken], x[broken]))
        broken[broken.clone()] = view.reached(again)
    return broken


class Worst:
    """The worst candidate of each image over several tries; each try is only for the images that stand.

    Attributes
    ----------
    images : (n, 3, s, s) worst so far, in the ball.
    standing : (m,) positions of the images that no try has broken.
    """

    def __init__(self, model: Victim, x: Tensor, threat: Threat) -> None:
        self._model, self._x, self._threat = model, x, threat
        self._odds = torch.full((len(x),), float("-inf"), dtype=x.dtype, device=x.device)
        self.images = x.clone()
        self.remaining = torch.arange(len(x), device=x.device)

    @property
    def done(self) -> bool:
        """Whether no image stands."""
        return len(self.remaining) == 0

    def remaining_inputs(self) -> tuple[Victim, Tensor]:
        """The model and the clean images of those that stand."""
        return self._model.only(self.remaining), self._x[self.remaining]

    def add(self, found: Tensor, by: str = "") -> None:
        """Judge candidates for the images that stand, (m, 3, s, s), and keep those that are worse than the last."""
        view, clean = self.remaining_inputs()
        found = self._threat.project(found, clean)
        logits = view.logits(found)
        broken = broken_when_rounded(view, logits, found, clean, self._threat)
        odds = view.odds(logits)
        worse = broken | (odds > self._odds[self.remaining])
        rows = self.remaining[worse]
        self.images[rows], self._odds[rows] = found[worse], odds[worse]
        if by:
            view.only(broken).found(by)
        self.remaining = self.remaining[~broken]
