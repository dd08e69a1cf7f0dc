"""Random numbers of torch that are our own: the host's state is the same afterwards."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import torch

P = ParamSpec("P")
R = TypeVar("R")


def own_random_state(function: Callable[P, R]) -> Callable[P, R]:
    """A function that may seed and draw from torch's global generators, and leaves them as it found them."""

    @wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        with torch.random.fork_rng():
            return function(*args, **kwargs)

    return wrapped
