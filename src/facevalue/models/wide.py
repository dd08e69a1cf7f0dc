"""Copies of wide features, which may be gigabytes: a few rows at a time, in memory that is returned once it is free."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from facevalue.support.machine import large_array

ROWS = 128
"""Rows that are taken at once, where all at once would double the memory."""


def double_copy(features: Tensor) -> Tensor:
    """(n, d) features in double precision, to be changed in place."""
    return torch.from_numpy(large_array(tuple(features.shape), np.float64)).copy_(features)


def to_directions(x: Tensor) -> Tensor:
    """Divide each row of x (n, d) by its length, in place; a zero row stays zero."""
    lengths = torch.linalg.vector_norm(x, dim=1, keepdim=True)
    return x.div_((lengths.square() + 1e-12).sqrt())
