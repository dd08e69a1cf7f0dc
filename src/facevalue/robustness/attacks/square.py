"""The Square attack: a random search that uses only logits."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from facevalue.errors import UsageError
from facevalue.robustness.attacks.ascent import broken_when_rounded
from facevalue.robustness.attacks.base import Attack, Threat, Victim

_SHRINK = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
"""Out of 10,000 trials, those after which the area of the squares is halved."""


@final
@dataclass(frozen=True)
class Square(Attack):
    """Adds squares of one colour change at random positions, keeps those that raise the margin, and shrinks them.

    It uses logits only, one query per trial and image. If it breaks images that gradient attacks do not, the gradients
    are misleading. In a trial all images share the position, but each has its own colours.

    Attributes
    ----------
    trials : maximum number of trials per image.
    area : area of the first squares, as a share of the image.
    """

    name: ClassVar[str] = "square"
    paper: ClassVar[str] = "Andriushchenko et al. 2020, arXiv:1912.00049"
    black_box: ClassVar[bool] = True

    trials: int = 1000
    area: float = 0.8

    def __post_init__(self) -> None:
        if self.trials < 1 or not 0 < self.area <= 1:
            raise UsageError(f"Expected trials >= 1 and area in (0, 1], but got {self.trials} and {self.area}")

    def run(self, model: Victim, x: Tensor, threat: Threat, generator: torch.Generator) -> Tensor:
        """Run each trial on the images that are not broken yet."""
        best = _first(x, threat, generator)
        margin = torch.full_like(x[:, 0, 0, 0], float("-inf"))
        rows = torch.arange(len(x), device=x.device)
        for trial in range(self.trials):
            view, clean = model.only(rows), x[rows]
            found = best[rows] if trial == 0 else self._changed(best[rows], clean, threat, trial, generator)
            logits = view.logits(found)
            value = view.margin(logits)
            broken = broken_when_rounded(view, logits, found, clean, threat)
            better = broken | (value > margin[rows])
            best[rows[better]], margin[rows[better]] = found[better], value[better]
            rows = rows[~broken]
            if len(rows) == 0:
                break
        return best

    def _changed(self, best: Tensor, x: Tensor, threat: Threat, trial: int, generator: torch.Generator) -> Tensor:
        share = self.area / 2 ** sum(trial * 10_000 / self.trials > at for at in _SHRINK)
        size = x.shape[-1]
        if threat.norm == "linf":
            side = min(max(round(math.sqrt(share) * size), 1), size)
            where = _window(size, side, generator)
            found = best.clone()
            found[where] = (x[where] + threat.eps * _signs((len(x), 3, 1, 1), generator).to(x)).clamp(0, 1)
            return found
        side = min(max(round(math.sqrt(share) * size), 3), size)
        return _moved(best, x, threat, side + 1 - side % 2 if side < size else side, generator)


Window = tuple[slice, slice, slice, slice]


def _first(x: Tensor, threat: Threat, generator: torch.Generator) -> Tensor:
    """The initial perturbation: vertical stripes (``linf``), or a grid of bumps of total length eps (``l2``)."""
    size = x.shape[-1]
    if threat.norm == "linf":
        return (x + threat.eps * _signs((len(x), 3, 1, size), generator).to(x)).clamp(0, 1)
    side = max(size // 5, 1)
    away = torch.zeros_like(x)
    bump = _bump(side).to(x)
    for top in range(0, size - side + 1, side):
        for left in range(0, size - side + 1, side):
            signs = _signs((len(x), 3, 1, 1), generator).to(x)
            away[:, :, top : top + side, left : left + side] = bump * signs
    return threat.project(x + threat.eps * away / _length(away).clamp_min(1e-12), x)


def _moved(best: Tensor, x: Tensor, threat: Threat, side: int, generator: torch.Generator) -> Tensor:
    """Add a bump in one window, using the unused length of the ball and that of a second window, which is reset."""
    size = x.shape[-1]
    to, giving = _window(size, side, generator), _window(size, side, generator)
    away = best - x
    both = torch.zeros_like(x[:1, :1], dtype=torch.bool)
    both[to] = both[giving] = True
    free = (threat.eps**2 - _length(away).square()).clamp_min(0)
    length = (_length(away * both).square() + free).sqrt()
    old = away[to]
    bump = _bump(side).to(x)
    if int(torch.randint(0, 2, (1,), generator=generator)):
        bump = bump.t()
    bump = bump * _signs((len(x), 3, 1, 1), generator).to(x)
    new = bump + old / _length(old).clamp_min(1e-12)
    new = new / torch.linalg.vector_norm(new, dim=(2, 3), keepdim=True).clamp_min(1e-12)
    away = torch.where(both, 0, away)
    away[to] = new * length / math.sqrt(3)  # the three channels share it
    return threat.project(x + away, x)


def _bump(side: int) -> Tensor:
    """(side, side) of length 1: a positive and a negative hill."""
    half = side // 2
    hills = torch.zeros(side, side)
    hills[:half] = _hill(half, side)
    hills[half:] = -_hill(side - half, side)
    length: Tensor = torch.linalg.vector_norm(hills)
    return hills / length


def _hill(height: int, width: int) -> Tensor:
    """(height, width), highest in the centre: a sum of concentric rectangles; larger ones add less."""
    hill = torch.zeros(height, width)
    middle_y, middle_x = height // 2, width // 2
    rings = max(height, width) // 2
    for ring in range(rings + 1):
        top, bottom = max(middle_y - ring, 0), min(middle_y + ring + 1, height)
        left, right = max(middle_x - ring, 0), min(middle_x + ring + 1, width)
        hill[top:bottom, left:right] += 1 / (ring + 1) ** 2
    return hill


def _window(size: int, side: int, generator: torch.Generator) -> Window:
    top, left = torch.randint(0, size - side + 1, (2,), generator=generator).tolist()
    return slice(None), slice(None), slice(top, top + side), slice(left, left + side)


def _signs(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.randint(0, 2, shape, generator=generator).float() * 2 - 1


def _length(away: Tensor) -> Tensor:
    """(n, 1, 1, 1) Euclidean lengths."""
    length: Tensor = torch.linalg.vector_norm(away, dim=(1, 2, 3), keepdim=True)
    return length
