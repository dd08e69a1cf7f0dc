"""Copies of modules that do not copy the weights."""

from __future__ import annotations

import copy
from typing import TypeVar

from torch import nn

Module = TypeVar("Module", bound=nn.Module)


def sharing_weights(module: Module, own: nn.Module | None = None) -> Module:
    """A copy of a module whose weights lie in the same memory; flags and mode are its own.

    For what only reads the weights: of a large network every real copy takes hundreds of megabytes. To write into a
    weight of the copy would change the original, so weights may only be replaced as a whole, as ``to`` does it.

    Parameters
    ----------
    own : a part of ``module`` whose weights are copied.
    """
    apart = {id(weight) for weight in [*own.parameters(), *own.buffers()]} if own is not None else set[int]()
    shared = {
        id(weight): nn.Parameter(weight.detach(), requires_grad=weight.requires_grad) for weight in module.parameters()
    }
    buffers = {id(buffer): buffer.detach() for buffer in module.buffers()}
    memo = {key: value for key, value in {**shared, **buffers}.items() if key not in apart}
    return copy.deepcopy(module, memo)
