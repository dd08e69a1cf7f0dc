"""Carlini & Wagner: Adam on the logit margin, with a change of variables that keeps pixels in their range."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from facevalue.errors import UsageError
from facevalue.robustness.attacks.ascent import Worst, broken_when_rounded
from facevalue.robustness.attacks.base import Attack, Threat, Victim
from facevalue.robustness.attacks.gradients import input_gradient
from facevalue.robustness.attacks.threat import per_image

_INSIDE = 0.999999  # keeps the initial pixels away from the bounds, where tanh has no slope


@final
@dataclass(frozen=True)
class CW(Attack):
    """Adam on the logit margin; pixels are the tanh of free variables, which keeps them in range.

    ``l2``: minimises the squared length plus a constant times the missing margin, with a bisection of the constant for
    each image. An image is finished once a success is inside the ball.

    ``linf``: maximises the margin only, with the ball as the range (in place of the paper's shrinking limit).

    Attributes
    ----------
    searches : number of constants to try, for ``l2``.
    starts : number of starts, for ``linf``; the first is the clean image, the others are random.
    steps : steps per constant or start.
    rate : learning rate of Adam for ``l2``.
    linf_rate : learning rate of Adam for ``linf``.
    constant : the first constant.
    confidence : required logit margin, for ``l2``.
    """

    name: ClassVar[str] = "cw"
    paper: ClassVar[str] = "Carlini & Wagner 2017, arXiv:1608.04644"

    searches: int = 6
    starts: int = 2
    steps: int = 60
    rate: float = 0.02
    linf_rate: float = 0.5
    constant: float = 1.0
    confidence: float = 0.0

    def __post_init__(self) -> None:
        if self.searches < 1 or self.starts < 1 or self.steps < 1 or not self.confidence >= 0:
            got = f"{self.searches}, {self.starts}, {self.steps} and {self.confidence}"
            raise UsageError(f"Expected searches >= 1, starts >= 1, steps >= 1 and confidence >= 0, but got {got}")
        if not (self.rate > 0 and self.linf_rate > 0 and self.constant > 0):
            got = f"{self.rate}, {self.linf_rate} and {self.constant}"
            raise UsageError(f"Expected rate, linf_rate and constant > 0, but got {got}")

    def run(self, model: Victim, x: Tensor, threat: Threat, generator: torch.Generator) -> Tensor:
        """Run the variant for the threat's norm."""
        return self._linf(model, x, threat, generator) if threat.norm == "linf" else self._l2(model, x, threat)

    def _linf(self, model: Victim, x: Tensor, threat: Threat, generator: torch.Generator) -> Tensor:
        worst = Worst(model, x, threat)
        for i in range(self.starts):
            view, clean = worst.remaining_inputs()
            start = threat.random_point(clean, generator) if i else clean
            worst.add(self._climb(view, start, clean, threat))
            if worst.done:
                break
        return worst.images

    def _climb(self, model: Victim, start: Tensor, x: Tensor, threat: Threat) -> Tensor:
        """The last point of one start, or the one that broke the image."""
        box = _Box((x - threat.eps).clamp_min(0), (x + threat.eps).clamp_max(1))
        variables, adam = box.variables(start), _Adam(x, self.linf_rate)
        x_adv = start.clone()
        rows = torch.arange(len(x), device=x.device)
        for _ in range(self.steps):
            view, here = model.only(rows), x_adv[rows]
            gradient, logits = input_gradient(view, here, Victim.margin)
            going = ~broken_when_rounded(view, logits, here, x[rows], threat)
            rows, gradient = rows[going], gradient[going]
            if len(rows) == 0:
                break
            part = box.only(rows)
            variables[rows] += adam.step(rows, gradient * part.slope(variables[rows]))
            x_adv[rows] = part.pixels(variables[rows])
        return x_adv

    def _l2(self, model: Victim, x: Tensor, threat: Threat) -> Tensor:
        low = torch.zeros(len(x), dtype=x.dtype, device=x.device)
        high = torch.full_like(low, float("inf"))
        constant = torch.full_like(low, self.constant)
        best, least = x.clone(), torch.full((len(x),), float("inf"), dtype=torch.float64, device=x.device)
        left = torch.arange(len(x), device=x.device)
        for _ in range(self.searches):
            view, clean = model.only(left), x[left]
            found, away, finished = self._descend(view, clean, constant[left], threat)
            nearer = away < least[left]
            best[left[nearer]], least[left[nearer]] = found[nearer], away[nearer]
            never = least[left].isinf()
            best[left[never]] = found[never]
            success = ~away.isinf()
            high[left] = torch.where(success, torch.minimum(high[left], constant[left]), high[left])
            low[left] = torch.where(success, low[left], torch.maximum(low[left], constant[left]))
            constant[left] = torch.where(high[left].isinf(), 10 * constant[left], (low[left] + high[left]) / 2)
            left = left[~finished]
            if len(left) == 0:
                break
        return best

    def _descend(self, model: Victim, x: Tensor, constant: Tensor, threat: Threat) -> tuple[Tensor, Tensor, Tensor]:
        """The nearest success with these constants, its distance (infinite if none), and whether it is in the ball."""
        box = _Box(torch.zeros_like(x), torch.ones_like(x))
        variables, adam = box.variables(x), _Adam(x, self.rate)
        x_adv, best = x.clone(), x.clone()
        least = torch.full((len(x),), float("inf"), dtype=torch.float64, device=x.device)
        finished = torch.zeros(len(x), dtype=torch.bool, device=x.device)
        rows = torch.arange(len(x), device=x.device)
        for _ in range(self.steps):
            view, here, clean = model.only(rows), x_adv[rows], x[rows]
            gradient, logits = input_gradient(view, here, Victim.margin)
            away = threat.distance(here, clean)
            margin = view.margin(logits)
            nearer = view.reached(logits) & (margin >= self.confidence) & (away < least[rows])
            best[rows[nearer]], least[rows[nearer]] = here[nearer], away[nearer]
            inside = nearer & (away <= threat.eps)
            if inside.any():
                inside[inside.clone()] = broken_when_rounded(
                    view.only(inside), logits[inside], here[inside], clean[inside], threat
                )
                finished[rows[inside]] = True
                going = ~inside
                rows, here, clean = rows[going], here[going], clean[going]
                gradient, margin = gradient[going], margin[going]
                if len(rows) == 0:
                    break
            missing = per_image((margin < self.confidence).to(x.dtype) * constant[rows])
            downhill = missing * gradient - 2 * (here - clean)
            part = box.only(rows)
            variables[rows] += adam.step(rows, downhill * part.slope(variables[rows]))
            x_adv[rows] = part.pixels(variables[rows])
        never = least.isinf()
        best[never] = x_adv[never]
        return best, least, finished


class _Box:
    """Pixels between ``low`` and ``high`` as tanh of free variables."""

    def __init__(self, low: Tensor, high: Tensor) -> None:
        self._middle, self._half = (low + high) / 2, (high - low) / 2

    def only(self, rows: Tensor) -> _Box:
        new = object.__new__(_Box)
        new._middle, new._half = self._middle[rows], self._half[rows]
        return new

    def variables(self, pixels: Tensor) -> Tensor:
        away = (pixels - self._middle) / self._half.clamp_min(1e-12)
        return torch.atanh(_INSIDE * away.clamp(-1, 1))

    def pixels(self, variables: Tensor) -> Tensor:
        return self._middle + self._half * variables.tanh()

    def slope(self, variables: Tensor) -> Tensor:
        """Derivative of the pixels by the variables."""
        return self._half * (1 - variables.tanh().square())


class _Adam:
    """Adam (Kingma & Ba 2015, arXiv:1412.6980) for ascent on a subset of the images; all have the same step count."""

    def __init__(self, x: Tensor, rate: float) -> None:
        self._mean, self._square = torch.zeros_like(x), torch.zeros_like(x)
        self._rate, self._steps = rate, 0

    def step(self, rows: Tensor, gradient: Tensor) -> Tensor:
        self._steps += 1
        self._mean[rows] = mean = 0.9 * self._mean[rows] + 0.1 * gradient
        self._square[rows] = square = 0.999 * self._square[rows] + 0.001 * gradient.square()
        mean, square = mean / (1 - 0.9**self._steps), square / (1 - 0.999**self._steps)
        # Near the bounds gradients are 1e-8 or less; with the usual 1e-8 here the variables would hardly move.
        return self._rate * mean / (square.sqrt() + 1e-12)
