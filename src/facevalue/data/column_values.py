"""Questions about the values of long columns of text, without a Python object for each value."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray


def repeated(column: pd.Series[str]) -> NDArray[np.bool_]:
    """(n,) whether another row has the same value.

    >>> repeated(pd.Series(["x", "y", "x"])).tolist()
    [True, False, True]
    """
    codes, values = pd.factorize(column)
    found: NDArray[np.bool_] = np.bincount(codes, minlength=len(values))[codes] > 1
    return found


def several_within(column: pd.Series[str], other: pd.Series[str]) -> NDArray[np.bool_]:
    """(n,) whether the rows with the same value in ``column`` have several values in ``other``.

    >>> several_within(pd.Series(["x", "x", "y", "y"]), pd.Series(["a", "b", "c", "c"])).tolist()
    [True, True, False, False]
    """
    codes, values = pd.factorize(column)
    own, kinds = pd.factorize(other)
    pairs = np.unique(codes * np.int64(len(kinds)) + own)
    found: NDArray[np.bool_] = np.bincount(pairs // max(1, len(kinds)), minlength=len(values))[codes] > 1
    return found
