"""Silence scikit-learn's doubt whether labels are classes, where there are few images per class."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def sure_of_classes() -> Iterator[None]:
    """Inside the block or the decorated function, labels are known to be classes, however many there are.

    scikit-learn warns if there are more classes than half of the images, because labels could be numbers to regress.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The number of unique classes is greater than", UserWarning)
        yield
