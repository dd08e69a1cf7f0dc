"""The momentum iterative method: steps along accumulated gradients, which vary less from step to step."""

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
class MIFGSM(Attack):
    """BIM along the decayed sum of the gradients, each scaled to the same mean absolute value.

    Attributes
    ----------
    steps : number of steps.
    reach : total length of all steps, in units of eps; 1 in the paper.
    decay : decay factor of the sum; 1 in the paper.
    """

    name: ClassVar[str] = "mifgsm"
    paper: ClassVar[str] = "Dong et al. 2018, arXiv:1710.06081"
    starts_clean: ClassVar[bool] = True

    steps: int = 10
    reach: float = 1.0
    decay: float = 1.0

    def __post_init__(self) -> None:
        if self.steps < 1 or not self.reach > 0 or not self.decay >= 0:
            got = f"{self.steps}, {self.reach} and {self.decay}"
            raise UsageError(f"Expected steps >= 1, reach > 0 and decay >= 0, but got {got}")

    def run(self, model: Victim, x: Tensor, threat: Threat, generator: torch.Generator) -> Tensor:
        """Steps from the clean image."""
        return ascend(model, x, x, threat, self.steps, self.reach * threat.eps / self.steps, self.decay)
