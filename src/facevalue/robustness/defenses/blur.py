"""A Gaussian blur."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from facevalue.errors import UsageError
from facevalue.robustness.defenses.base import Defense


@final
@dataclass(frozen=True)
class Blur(Defense):
    """Gaussian blur, cut at four standard deviations, with mirrored edges. Its gradient is exact.

    Attributes
    ----------
    sigma : standard deviation in pixels of the network input.
    """

    name: ClassVar[str] = "blur"
    paper: ClassVar[str] = "Xu, Evans & Qi 2018, arXiv:1704.01155 (spatial smoothing)"

    sigma: float = 1.0

    def __post_init__(self) -> None:
        if not self.sigma > 0:
            raise UsageError(f"Expected sigma above 0, but got {self.sigma}")

    def change(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """One vertical and one horizontal pass."""
        reach = min(round(4 * self.sigma), x.shape[-1] - 1)
        at = torch.arange(-reach, reach + 1, dtype=x.dtype, device=x.device)
        kernel = torch.exp(-at.square() / (2 * self.sigma**2))
        weight = (kernel / kernel.sum()).expand(3, 1, -1)
        padded = torch.nn.functional.pad(x, [reach] * 4, mode="reflect")
        down = torch.nn.functional.conv2d(padded, weight.unsqueeze(3), groups=3)
        return torch.nn.functional.conv2d(down, weight.unsqueeze(2), groups=3)
