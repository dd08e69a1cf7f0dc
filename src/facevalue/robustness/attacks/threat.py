"""What an attacker may do to an image: move it within a ball around itself."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from facevalue.errors import UsageError
from facevalue.support.formats import eps_text

Norm = Literal["linf", "l2"]
NORMS: tuple[Norm, ...] = get_args(Norm)

LEVELS = 255
"""An 8-bit channel has the values 0/255 … 255/255."""

FLOAT_ERROR = 1e-6
"""What still counts as the same pixel, and as inside the ball; four thousand times smaller than a level."""

FARTHEST = 1e4
"""No two images of up to 5,773 pixels a side lie further apart in ``l2``."""

_BISECTIONS = 16


@dataclass(frozen=True)
class Threat:
    """A ball of radius ``eps`` around each image, in pixels of the network input scaled to [0, 1].

    Attributes
    ----------
    norm : ``linf``, the largest change of a channel of a pixel; ``l2``, the Euclidean length over the whole image.
    eps : the radius, in the same units: 8/255 is eight grey levels of 8 bits. At most 1 for ``linf``,
        and :data:`FARTHEST` for ``l2``.

    Raises
    ------
    UsageError
        The norm is unknown, or ``eps`` is negative, not finite or beyond the range of pixels.
    """

    norm: Norm
    eps: float

    def __post_init__(self) -> None:
        if self.norm not in NORMS:
            raise UsageError(f"Expected norm to be one of {', '.join(NORMS)}, but got {self.norm!r}")
        if not (math.isfinite(self.eps) and self.eps >= 0):
            raise UsageError(f"Expected eps to be a finite number from 0 up, but got {self.eps}")
        if self.norm == "linf" and self.eps > 1:
            hint = f"for grey levels write {self.eps:g}/255"
            raise UsageError(f"Expected eps in [0, 1], the range of pixels, but got {self.eps:g}; {hint}")
        if self.eps > FARTHEST:
            raise UsageError(f"Expected eps of at most {FARTHEST:g}, which is beyond any image, but got {self.eps:g}")

    def __str__(self) -> str:
        return f"{self.norm} {eps_text(self.eps, self.norm)}"

    def distance(self, x_adv: Tensor, x: Tensor) -> Tensor:
        """(n,) float64 distances of (n, 3, s, s) images from ``x`` in this norm."""
        away = x_adv - x
        if self.norm == "linf":
            return away.abs().amax(dim=(1, 2, 3)).double()
        length: Tensor = torch.linalg.vector_norm(away, dim=(1, 2, 3), dtype=torch.float64)
        return length

    def project(self, x_adv: Tensor, x: Tensor) -> Tensor:
        """The nearest images to ``x_adv`` in the ball around ``x``, then clipped to [0, 1]; both (n, 3, s, s).

        Clipping does not leave the ball, because ``x`` is in [0, 1] itself.
        """
        if self.norm == "linf":
            return torch.minimum(torch.maximum(x_adv, x - self.eps), x + self.eps).clamp(0, 1)
        scale = (self.eps / self.distance(x_adv, x).clamp_min(1e-300)).clamp_max(1)
        return (x + (x_adv - x) * per_image(scale.to(x.dtype))).clamp(0, 1)

    def random_point(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """A point drawn uniformly from the ball around each of ``x`` (n, 3, s, s), clipped to [0, 1].

        ``generator`` is the CPU's, so that a seed means the same on every device.
        """
        if self.norm == "linf":
            away = torch.empty(x.shape).uniform_(-self.eps, self.eps, generator=generator)
            return (x + away.to(x)).clamp(0, 1)
        direction = torch.randn(x.shape, generator=generator)
        # The volume within radius r grows with r to the number of dimensions.
        radius = self.eps * torch.rand(len(x), generator=generator) ** (1 / max(1, x[0].numel()))
        length = torch.linalg.vector_norm(direction, dim=(1, 2, 3))
        return (x + (direction * per_image(radius / length)).to(x)).clamp(0, 1)

    def rounded(self, x_adv: Tensor, x: Tensor) -> Tensor:
        """``x_adv`` on the 8-bit grid and still in the ball around ``x``; both (n, 3, s, s) in [0, 1].

        ``linf``: the nearest level that the ball holds. ``l2``: the nearest grid point, and where that is outside the
        ball, :meth:`filled`. A value of ``x`` that is off the grid itself and has no level in reach stays.
        """
        if self.norm == "linf":
            low = ((x - self.eps - FLOAT_ERROR) * LEVELS).ceil().clamp_min(0)
            high = ((x + self.eps + FLOAT_ERROR) * LEVELS).floor().clamp_max(LEVELS)
            levels = torch.minimum(torch.maximum((x_adv * LEVELS).round(), low), high)
            return torch.where(low <= high, levels / LEVELS, x)
        nearest = _on_grid(x_adv)
        outside = self._outside(nearest, x)
        if outside.any():
            nearest[outside] = self.filled(x_adv[outside], x[outside])
        return nearest

    def filled(self, x_adv: Tensor, x: Tensor) -> Tensor:
        """A multiple of the perturbation, as large as the ball holds, on the 8-bit grid.

        ``linf``: the perturbation stretched to the ball's surface. ``l2``: the largest multiple whose 8-bit rounding is
        still inside. A small L2 ball spread over many pixels is less than half a level everywhere, and rounding would
        undo it: here its largest components come first and become whole levels. Where no multiple is inside (``x``
        off the grid, or ``eps`` under one level), ``x`` itself.
        """
        away = x_adv - x
        peak = away.abs().amax(dim=(1, 2, 3)).clamp_min(1e-12)
        if self.norm == "linf":
            return self.rounded(self.project(x + away * per_image(self.eps / peak), x), x)
        low = torch.zeros_like(peak)
        # There the largest component alone rounds to eps or more: the search has it all between.
        high = (self.eps + 0.5 / LEVELS) / peak
        best = x.clone()
        # Rounding is monotone, so the distance grows with the multiple and bisection finds the last one inside.
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            trial = _on_grid(x + away * per_image(middle))
            inside = ~self._outside(trial, x)
            best = torch.where(per_image(inside), trial, best)
            low, high = torch.where(inside, middle, low), torch.where(inside, high, middle)
        return best

    def _outside(self, x_adv: Tensor, x: Tensor) -> Tensor:
        return self.distance(x_adv, x) > self.eps + FLOAT_ERROR


def _on_grid(x: Tensor) -> Tensor:
    return (x.clamp(0, 1) * LEVELS).round() / LEVELS


def per_image(values: Tensor) -> Tensor:
    """(n,) values, shaped so that each meets the whole of its image (n, 3, s, s)."""
    return values.view(-1, 1, 1, 1)
