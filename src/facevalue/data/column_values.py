"""Questions about the values of long columns of text, in little memory.

Most values of a SHA-256 or a group are there once. A table of all different ones takes as much memory as the column and
more, so values are first told apart by their hashes, and compared where these are the same.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray


def repeated(column: pd.Series[str]) -> NDArray[np.bool_]:
    """(n,) whether another row has the same value.

    >>> repeated(pd.Series(["x", "y", "x"])).tolist()
    [True, False, True]
    """
    found, codes = _with_twins(column)
    found[found] = np.bincount(codes)[codes] > 1
    return found


def several_within(column: pd.Series[str], other: pd.Series[str]) -> NDArray[np.bool_]:
    """(n,) whether the rows with the same value in ``column`` have several values in ``other``.

    >>> several_within(pd.Series(["x", "x", "y", "y"]), pd.Series(["a", "b", "c", "c"])).tolist()
    [True, True, False, False]
    """
    found, codes = _with_twins(column)
    own, kinds = pd.factorize(other[found])
    pairs = np.unique(codes * np.int64(len(kinds)) + own)
    found[found] = np.bincount(pairs // max(1, len(kinds)))[codes] > 1
    return found


def _with_twins(column: pd.Series[str]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """(n,) whether another row has the same hash, and for each of those the number of its value."""
    hashes = np.fromiter(map(hash, column), np.int64, len(column))
    order = np.argsort(hashes)
    same = np.diff(hashes[order]) == 0
    found: NDArray[np.bool_] = np.zeros(len(hashes), np.bool_)
    found[order] = np.append(same, False) | np.append(False, same)
    return found, pd.factorize(column[found])[0].astype(np.int64)
