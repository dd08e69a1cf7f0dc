"""Gaussian noise, averaged over several draws."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from facevalue.errors import UsageError
from facevalue.robustness.defenses.base import Defense


@final
@dataclass(frozen=True)
class Noise(Defense):
    """Adds Gaussian noise to the image; the output is the mean over several draws, new for every call.

    The gradient of that mean is an expectation over transformation (EOT). For *proven* robustness by noise see
    :mod:`facevalue.robustness.defenses.smoothing`.

    Attributes
    ----------
    sigma : standard deviation, in pixels scaled to [0, 1].
    copies : number of draws to average.
    """

    name: ClassVar[str] = "noise"
    paper: ClassVar[str] = "Cohen, Rosenfeld & Kolter 2019, arXiv:1902.02918; Liu et al. 2018, arXiv:1712.00673"

    sigma: float = 0.05
    copies: int = 8

    def __post_init__(self) -> None:
        if not self.sigma > 0 or self.copies < 1:
            raise UsageError(f"Expected sigma above 0 and copies >= 1, but got {self.sigma} and {self.copies}")

    @property
    def draws(self) -> int:
        return self.copies

    def change(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """A new draw for every image."""
        return x + self.sigma * torch.randn(x.shape, generator=generator).to(x)
