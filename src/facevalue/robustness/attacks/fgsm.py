"""The fast gradient sign method: one step to the surface of the ball."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from facevalue.robustness.attacks.base import Attack, Threat, Victim
from facevalue.robustness.attacks.gradients import input_gradient, steepest


@final
@dataclass(frozen=True)
class FGSM(Attack):
    """One step of length eps along the gradient's sign (``linf``) or the gradient itself (``l2``)."""

    name: ClassVar[str] = "fgsm"
    paper: ClassVar[str] = "Goodfellow, Shlens & Szegedy 2015, arXiv:1412.6572"
    starts_clean: ClassVar[bool] = True

    def run(self, model: Victim, x: Tensor, threat: Threat, generator: torch.Generator) -> Tensor:
        """One gradient step."""
        gradient, _ = input_gradient(model, x)
        return x + threat.eps * steepest(gradient, threat.norm)
