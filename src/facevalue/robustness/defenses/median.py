"""A median filter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from facevalue.errors import UsageError
from facevalue.robustness.defenses.base import Defense


@final
@dataclass(frozen=True)
class Median(Defense):
    """Median filter: the median of each channel over a square window around the pixel, with mirrored edges.

    Its gradient (that of the median pixel) is exact almost everywhere.

    Attributes
    ----------
    side : side of the window in pixels, odd.
    """

    name: ClassVar[str] = "median"
    paper: ClassVar[str] = "Xu, Evans & Qi 2018, arXiv:1704.01155"

    side: int = 3

    def __post_init__(self) -> None:
        if self.side < 3 or self.side % 2 == 0:
            raise UsageError(f"Expected side to be odd and at least 3, but got {self.side}")

    def change(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """The median of each window."""
        padded = torch.nn.functional.pad(x, [self.side // 2] * 4, mode="reflect")
        around = padded.unfold(2, self.side, 1).unfold(3, self.side, 1).flatten(4)
        return around.median(dim=4).values
