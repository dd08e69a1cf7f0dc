"""APGD: projected gradient ascent with an adaptive step size, on cross-entropy and on the logit margin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, final, get_args

import torch
from torch import Tensor

from facevalue.errors import UsageError
from facevalue.robustness.attacks.ascent import Worst, broken_when_rounded
from facevalue.robustness.attacks.base import Attack, Threat, Victim
from facevalue.robustness.attacks.gradients import Loss, input_gradient, steepest
from facevalue.robustness.attacks.threat import per_image

APGDLoss = Literal["ce", "margin"]
_LOSSES: dict[APGDLoss, Loss] = {"ce": Victim.odds, "margin": Victim.margin}

_MOMENTUM = 0.75
_ENOUGH = 0.75  # share of the steps between two checkpoints that must increase the loss, else the step is halved


@final
@dataclass(frozen=True)
class APGD(Attack):
    """Gradient ascent with momentum from a random point. If the loss stops growing, the step is halved.

    ``ce`` maximises the log odds, which grow with cross-entropy but do not saturate. ``margin`` maximises the lead of
    the largest other logit; an untargeted attack on more than two classes tries the classes one after another. Both are
    invariant to the scale of the logits. The paper's DLR loss gets that by dividing by the lead of the first logit over
    the third, and so is not defined for two classes.

    Attributes
    ----------
    losses : used one after another, each only for images that are not broken yet.
    steps : steps per start.
    restarts : starts per loss.
    rivals : number of classes that ``margin`` tries: those with the largest logits on the clean image.
    """

    name: ClassVar[str] = "apgd"
    paper: ClassVar[str] = "Croce & Hein 2020, arXiv:2003.01690"

    losses: tuple[APGDLoss, ...] = ("ce", "margin")
    steps: int = 100
    restarts: int = 1
    rivals: int = 9

    def __post_init__(self) -> None:
        if not self.losses or not set(self.losses) <= set(get_args(APGDLoss)):
            raise UsageError(f"Expected losses among {', '.join(get_args(APGDLoss))}, but got {self.losses}")
        if self.steps < 1 or self.restarts < 1 or self.rivals < 1:
            got = f"{self.steps}, {self.restarts} and {self.rivals}"
            raise UsageError(f"Expected steps >= 1, restarts >= 1 and rivals >= 1, but got {got}")

    def run(self, model: Victim, x: Tensor, threat: Threat, generator: torch.Generator) -> Tensor:
        """Try each loss, rival class and start on the images that are not broken yet."""
        worst = Worst(model, x, threat)
        for loss in self.losses:
            views = [model] if loss == "ce" else model.per_boundary(model.logits(x), self.rivals)
            for view in views * self.restarts:
                clean = x[worst.remaining]
                start = threat.random_point(clean, generator)
                worst.add(self._climb(view.only(worst.remaining), start, clean, threat, _LOSSES[loss]))
                if worst.done:
                    return worst.images
        return worst.images

    def _climb(self, model: Victim, start: Tensor, x: Tensor, threat: Threat, loss: Loss) -> Tensor:
        """The point with the highest loss of one start, (n, 3, s, s); for a broken image, the point that broke it."""
        looks = set(_looks(self.steps))
        rows = torch.arange(len(x), device=x.device)  # images that are not finished
        here, before, best = start.clone(), start.clone(), start.clone()
        slope, best_slope = torch.zeros_like(x), torch.zeros_like(x)
        value, highest, highest_then = (torch.full_like(x[:, 0, 0, 0], float("-inf")) for _ in range(3))
        climbs, since = torch.zeros_like(rows), 0
        halved = torch.ones_like(rows, dtype=torch.bool)
        step = torch.full_like(value, 2 * threat.eps)
        for i in range(self.steps + 1):
            view, now = model.only(rows), here[rows]
            gradient, logits = input_gradient(view, now, loss)
            reached = loss(view, logits)
            broken = broken_when_rounded(view, logits, now, x[rows], threat)
            higher = broken | (reached > highest[rows])
            tops = rows[higher]
            best[tops], best_slope[tops], highest[tops] = now[higher], gradient[higher], reached[higher]
            if i > 0:
                climbs[rows] += reached > value[rows]
            value[rows], slope[rows] = reached, gradient
            rows = rows[~broken]
            if len(rows) == 0 or i == self.steps:
                break
            if i in looks:
                stuck = ~halved[rows] & (highest[rows] <= highest_then[rows])
                halved[rows] = stuck | (climbs[rows] < _ENOUGH * (i - since))
                highest_then[rows] = highest[rows]
                climbs[rows], since = 0, i
                again = rows[halved[rows]]
                step[again] /= 2
                here[again], slope[again] = best[again], best_slope[again]
            now, clean = here[rows], x[rows]
            ahead = threat.project(now + per_image(step[rows]) * steepest(slope[rows], threat.norm), clean)
            if i > 0:
                ahead = now + _MOMENTUM * (ahead - now) + (1 - _MOMENTUM) * (now - before[rows])
            before[rows] = now
            here[rows] = threat.project(ahead, clean)
        return best


def _looks(steps: int) -> list[int]:
    """The checkpoints, at which the step size is adapted: after 22 % of the steps, then at shorter intervals.

    >>> _looks(100)
    [22, 41, 57, 70, 80, 87, 93, 99]
    """
    looks, interval = [], 0.22
    at = interval
    while at < 1:
        looks.append(round(at * steps))
        interval = max(interval - 0.03, 0.06)
        at += interval
    return looks
