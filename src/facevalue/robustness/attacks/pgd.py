"""PGD, projected gradient descent: small steps from random points of the ball."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from facevalue.errors import UsageError
from facevalue.robustness.attacks.ascent import Worst, ascend
from facevalue.robustness.attacks.base import Attack, Threat, Victim


@final
@dataclass(frozen=True)
class PGD(Attack):
    """Small steps from a random point of the ball, each projected; restarts for images that are not broken yet.

    Attributes
    ----------
    steps : steps per start.
    reach : total length of the steps of a start, in units of eps; 2.5 crosses the ball from any point.
    restarts : number of starts; the worst case of each image is kept.
    """

    name: ClassVar[str] = "pgd"
    paper: ClassVar[str] = "Madry et al. 2018, arXiv:1706.06083"

    steps: int = 20
    reach: float = 2.5
    restarts: int = 1

    def __post_init__(self) -> None:
        if self.steps < 1 or self.restarts < 1 or not self.reach > 0:
            got = f"{self.steps}, {self.restarts} and {self.reach}"
            raise UsageError(f"Expected steps >= 1, restarts >= 1 and reach > 0, but got {got}")

    def run(self, model: Victim, x: Tensor, threat: Threat, generator: torch.Generator) -> Tensor:
        """Try each start on the images that are not broken yet."""
        step = self.reach * threat.eps / self.steps
        if self.restarts == 1:
            return ascend(model, threat.random_point(x, generator), x, threat, self.steps, step)
        worst = Worst(model, x, threat)
        for _ in range(self.restarts):
            view, clean = worst.remaining_inputs()
            worst.add(ascend(view, threat.random_point(clean, generator), clean, threat, self.steps, step))
            if worst.done:
                break
        return worst.images
