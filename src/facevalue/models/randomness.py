"""Keeps torch's global random state of the host unchanged."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import torch

P = ParamSpec("P")
R = TypeVar("R")


def own_random_state(function: Callable[P, R]) -> Callable[P, R]:
    """Decorator: the function may seed and use torch's global generators; their state is restored afterwards."""

    @wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        with torch.random.fork_rng():
            return function(*args, **kwargs)

    return wrapped
