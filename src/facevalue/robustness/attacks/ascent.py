"""Projected gradient ascent inside the ball, and the worst case over several tries, for most attacks."""

from __future__ import annotations

import torch
from torch import Tensor

from facevalue.robustness.attacks.gradients import input_gradient, steepest
from facevalue.robustness.attacks.threat import Threat
from facevalue.robustness.attacks.victim import Victim


def ascend(
    model: Victim, start: Tensor, x: Tensor, threat: Threat, steps: int, step: float, momentum: float = 0.0
) -> Tensor:
    """Take ``steps`` steps of length ``step`` from ``start``, each projected to the ball around ``x``; (n, 3, s, s).

    An image stops as soon as its 8-bit rounding is misclassified.

    Parameters
    ----------
    momentum : decay of the accumulated gradients; each gradient is scaled to a mean absolute value of 1.
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
    """(n,) whether the attack succeeds on ``x_adv`` (in the ball, with these logits), also after rounding to 8 bits.

    Only images on which it succeeds before rounding are rounded and classified again.
    """
    broken = model.reached(logits)
    if broken.any():
        view = model.only(broken)
        again = view.logits(threat.rounded(x_adv[broken], x[broken]))
        broken[broken.clone()] = view.reached(again)
    return broken


class Worst:
    """The worst candidate of each image over several tries; each try needs only the images not broken so far.

    Attributes
    ----------
    images : (n, 3, s, s) worst candidates so far, in the ball.
    remaining : (m,) positions of the images that no try has broken.
    """

    def __init__(self, model: Victim, x: Tensor, threat: Threat) -> None:
        self._model, self._x, self._threat = model, x, threat
        self._odds = torch.full((len(x),), float("-inf"), dtype=x.dtype, device=x.device)
        self.images = x.clone()
        self.remaining = torch.arange(len(x), device=x.device)

    @property
    def done(self) -> bool:
        """Whether all images are broken."""
        return len(self.remaining) == 0

    def remaining_inputs(self) -> tuple[Victim, Tensor]:
        """The model and the clean images for the remaining images."""
        return self._model.only(self.remaining), self._x[self.remaining]

    def add(self, found: Tensor, by: str = "") -> None:
        """Evaluate candidates (m, 3, s, s) for the remaining images, and keep those worse than the previous ones."""
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
