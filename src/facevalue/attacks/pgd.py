"""Projected gradient descent on the classifier's chances: small steps from random points of the ball."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from facevalue.attacks.ascent import ascend, broken_when_rounded
from facevalue.attacks.base import Attack, Threat, Victim
from facevalue.attacks.gradients import log_odds
from facevalue.errors import UsageError


@final
@dataclass(frozen=True)
class PGD(Attack):
    """Small steps from a random point of the ball, projected after each; again from others for pictures that stand.

    Attributes
    ----------
    steps : of each start.
    reach : length of a start's steps together, in units of eps; 2.5 crosses the ball from any point of it.
    restarts : starts in all. The worst case of each picture is kept.
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

    def run(self, model: Victim, x: Tensor, y: Tensor, threat: Threat, generator: torch.Generator) -> Tensor:
        """Starts one after another, each only for the pictures that stand."""
        step = self.reach * threat.eps / self.steps
        worst, odds = x.clone(), torch.full_like(y, float("-inf"), dtype=x.dtype)
        left = torch.arange(len(x), device=x.device)
        for _ in range(self.restarts):
            view, clean, truth = model.only(left), x[left], y[left]
            start = threat.random_point(clean, generator)
            found = ascend(view, start, clean, truth, threat, self.steps, step)
            if self.restarts == 1:
                return found
            logits = view.logits(found)
            broken = broken_when_rounded(view, logits, found, clean, truth, threat)
            higher = log_odds(logits, truth)
            worse = broken | (higher > odds[left])
            worst[left[worse]], odds[left[worse]] = found[worse], higher[worse]
            left = left[~broken]
            if len(left) == 0:
                break
        return worst
