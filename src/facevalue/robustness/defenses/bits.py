"""Fewer levels per channel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from facevalue.errors import UsageError
from facevalue.robustness.defenses.base import Defense


@final
@dataclass(frozen=True)
class Bits(Defense):
    """Bit depth reduction: rounds every channel. Rounding has no gradient, so the backward pass uses the identity.

    Attributes
    ----------
    depth : bits per channel, 1 to 8.
    """

    name: ClassVar[str] = "bits"
    paper: ClassVar[str] = "Xu, Evans & Qi 2018, arXiv:1704.01155"
    differentiable: ClassVar[bool] = False

    depth: int = 4

    def __post_init__(self) -> None:
        if not 1 <= self.depth <= 8:
            raise UsageError(f"Expected depth from 1 to 8 bits, but got {self.depth}")

    def change(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """The nearest of 2 ** depth levels from 0 to 1."""
        top = (1 << self.depth) - 1
        return torch.round(x * top) / top
