"""The basic iterative method: small steps from the clean image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from facevalue.errors import UsageError
from facevalue.robustness.attacks.ascent import ascend
from facevalue.robustness.attacks.base import Attack, Threat, Victim


@final
@dataclass(frozen=True)
class BIM(Attack):
    """FGSM in several small steps from the clean image, each projected to the ball.

    Attributes
    ----------
    steps : number of steps.
    reach : total length of all steps, in units of eps. The paper takes steps of one grey level, 1.25 eps in all.
    """

    name: ClassVar[str] = "bim"
    paper: ClassVar[str] = "Kurakin, Goodfellow & Bengio 2017, arXiv:1607.02533"
    starts_clean: ClassVar[bool] = True

    steps: int = 10
    reach: float = 1.25

    def __post_init__(self) -> None:
        if self.steps < 1 or not self.reach > 0:
            raise UsageError(f"Expected steps >= 1 and reach > 0, but got {self.steps} and {self.reach}")

    def run(self, model: Victim, x: Tensor, threat: Threat, generator: torch.Generator) -> Tensor:
        """Steps from the clean image."""
        return ascend(model, x, x, threat, self.steps, self.reach * threat.eps / self.steps)
