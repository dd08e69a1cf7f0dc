"""DeepFool: repeated steps to the nearest decision boundary of the linearised classifier."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from facevalue.errors import UsageError
from facevalue.robustness.attacks.base import Attack, Threat, Victim
from facevalue.robustness.attacks.decision_boundary import nearest_boundary, project_to_boundary


@final
@dataclass(frozen=True)
class DeepFool(Attack):
    """Steps to the nearest linearised decision boundary until one is crossed.

    It looks for the smallest perturbation, independent of the threat's eps, and succeeds if that is inside the ball.

    Attributes
    ----------
    steps : maximum number of steps.
    overshoot : how far each step goes beyond the boundary, as a share of its length.
    rivals : number of classes to consider: those with the largest logits on the clean image. Each costs one gradient
        per step.
    """

    name: ClassVar[str] = "deepfool"
    paper: ClassVar[str] = "Moosavi-Dezfooli, Fawzi & Frossard 2016, arXiv:1511.04599"

    steps: int = 50
    overshoot: float = 0.02
    rivals: int = 9

    def __post_init__(self) -> None:
        if self.steps < 1 or self.rivals < 1 or not self.overshoot >= 0:
            got = f"{self.steps}, {self.rivals} and {self.overshoot}"
            raise UsageError(f"Expected steps >= 1, rivals >= 1 and overshoot >= 0, but got {got}")

    def run(self, model: Victim, x: Tensor, threat: Threat, generator: torch.Generator) -> Tensor:
        """Steps from the clean image."""
        x_adv = x.clone()
        active = torch.arange(len(x), device=x.device)
        views = model.per_boundary(model.logits(x), self.rivals)
        for _ in range(self.steps):
            here = x_adv[active]
            margin, gradient, logits = nearest_boundary([view.only(active) for view in views], here, threat.norm)
            going = ~model.only(active).reached(logits)
            if not going.any():
                break
            active, here, margin, gradient = active[going], here[going], margin[going], gradient[going]
            step = project_to_boundary(here, margin, gradient, threat.norm) - here
            x_adv[active] = (here + (1 + self.overshoot) * step).clamp(0, 1)
        return x_adv
