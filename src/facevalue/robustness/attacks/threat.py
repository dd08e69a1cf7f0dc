"""The threat model: the attacker may move an image within a ball around it."""

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
"""Tolerance for equal pixels and for the surface of the ball; a 4000th of a level."""

FARTHEST = 1e4
"""Largest possible ``l2`` distance of two images of 5,773 x 5,773 pixels."""

_BISECTIONS = 16


@dataclass(frozen=True)
class Threat:
    """A ball of radius ``eps`` around each image; pixels of the network input are in [0, 1].

    Attributes
    ----------
    norm : ``linf``, the largest change of any channel of any pixel; ``l2``, the Euclidean length over the whole image.
    eps : the radius: 8/255 is eight of the 255 grey levels. At most 1 for ``linf``, and :data:`FARTHEST` for ``l2``.

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
            raise UsageError(f"Expected eps to be a finite number of at least 0, but got {self.eps}")
        if self.norm == "linf" and self.eps > 1:
            hint = f"for grey levels write {self.eps:g}/255"
            raise UsageError(f"Expected eps in [0, 1], the range of pixels, but got {self.eps:g}; {hint}")
        if self.eps > FARTHEST:
            raise UsageError(f"Expected eps of at most {FARTHEST:g}, which reaches any image, but got {self.eps:g}")

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
        """Project ``x_adv`` to the ball around ``x``, then clip to [0, 1]; both (n, 3, s, s).

        The clipped image is still in the ball, because ``x`` is in [0, 1].
        """
        if self.norm == "linf":
            return torch.minimum(torch.maximum(x_adv, x - self.eps), x + self.eps).clamp(0, 1)
        scale = (self.eps / self.distance(x_adv, x).clamp_min(1e-300)).clamp_max(1)
        return (x + (x_adv - x) * per_image(scale.to(x.dtype))).clamp(0, 1)

    def random_point(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """A point drawn uniformly from the ball around each of ``x`` (n, 3, s, s), clipped to [0, 1].

        ``generator`` is on the CPU, so that a seed gives the same point on every device.
        """
        if self.norm == "linf":
            away = torch.empty(x.shape).uniform_(-self.eps, self.eps, generator=generator)
            return (x + away.to(x)).clamp(0, 1)
        direction = torch.randn(x.shape, generator=generator)
        # The volume within radius r grows with r to the power of the number of dimensions.
        radius = self.eps * torch.rand(len(x), generator=generator) ** (1 / max(1, x[0].numel()))
        length = torch.linalg.vector_norm(direction, dim=(1, 2, 3))
        return (x + (direction * per_image(radius / length)).to(x)).clamp(0, 1)

    def rounded(self, x_adv: Tensor, x: Tensor) -> Tensor:
        """Round ``x_adv`` to the 8-bit grid inside the ball around ``x``; both (n, 3, s, s) in [0, 1].

        ``linf``: the nearest level in the ball. ``l2``: the nearest grid point, or :meth:`filled` if that is outside
        the ball. Values of ``x`` that are not on the grid and have no level in the ball are kept.
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
        """The largest multiple of the perturbation whose 8-bit rounding is in the ball.

        ``linf``: the perturbation scaled to the ball's surface, then rounded. ``l2``: a small perturbation over many
        pixels is below half a level everywhere, so plain rounding would remove it; scaled up, its largest components
        become whole levels. ``x`` itself if no multiple fits (``x`` off the grid, or ``eps`` below one level).
        """
        away = x_adv - x
        peak = away.abs().amax(dim=(1, 2, 3)).clamp_min(1e-12)
        if self.norm == "linf":
            return self.rounded(self.project(x + away * per_image(self.eps / peak), x), x)
        low = torch.zeros_like(peak)
        # With this multiple the largest component alone rounds to eps or more: an upper bound for the search.
        high = (self.eps + 0.5 / LEVELS) / peak
        best = x.clone()
        # Rounding is monotone, so the distance grows with the multiple, and bisection finds the largest one inside.
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
    """(n,) values as (n, 1, 1, 1), to broadcast over images (n, 3, s, s)."""
    return values.view(-1, 1, 1, 1)
