"""Total variation minimisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from facevalue.errors import UsageError
from facevalue.robustness.defenses.base import Defense


@final
@dataclass(frozen=True)
class TV(Defense):
    """Total variation denoising: flat regions become flatter, edges stay.

    Rudin, Osher & Fatemi 1992, by Chambolle's projection (2004, J. Math. Imaging Vis. 20:89), per channel, with a fixed
    number of steps. Every step is differentiable, so the gradient is exact.

    Attributes
    ----------
    weight : weight of the variation against the distance; larger is smoother.
    steps : number of projection steps.
    """

    name: ClassVar[str] = "tv"
    paper: ClassVar[str] = "Guo et al. 2018, arXiv:1711.00117"

    weight: float = 0.05
    steps: int = 15

    def __post_init__(self) -> None:
        if not self.weight > 0 or self.steps < 1:
            raise UsageError(f"Expected weight above 0 and steps >= 1, but got {self.weight} and {self.steps}")

    def change(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Iterate the dual variable: two fields (n, 3, s, s), for the vertical and the horizontal direction."""
        tau = 0.25
        down, right = torch.zeros_like(x), torch.zeros_like(x)
        out = x
        for step in range(self.steps):
            if step:
                out = x + _divergence(down, right)
            gone_down, gone_right = _slope(out, 2), _slope(out, 3)
            # The root has no gradient at 0, in flat regions; 1e-12 is far below a grey level.
            length = (gone_down.square() + gone_right.square() + 1e-12).sqrt()
            shrink = 1 + (tau / self.weight) * length
            down, right = (down - tau * gone_down) / shrink, (right - tau * gone_right) / shrink
        return out


def _slope(x: Tensor, axis: int) -> Tensor:
    """Differences to the next pixel; 0 for the last."""
    last = x.narrow(axis, x.shape[axis] - 1, 1)
    return torch.diff(x, dim=axis, append=last)


def _divergence(down: Tensor, right: Tensor) -> Tensor:
    """The negative divergence of the dual field."""
    out = -(down + right)
    out = out + torch.nn.functional.pad(down[:, :, :-1], [0, 0, 1, 0])
    return out + torch.nn.functional.pad(right[:, :, :, :-1], [1, 0, 0, 0])
