"""What a JPEG's quantisation tables show: the encoder and the quality."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

# The luminance table of ITU-T T.81 (1992), Annex K.1, row by row: what libjpeg scales to a quality.
_STANDARD = (
    "16 11 10 16 24 40 51 61 12 12 14 19 26 58 60 55 14 13 16 24 40 57 69 56 14 17 22 29 51 87 80 62 "
    "18 22 37 56 68 109 103 77 24 35 55 64 81 104 113 92 49 64 78 87 103 121 120 101 72 92 95 98 112 100 103 99"
)

Tables = Mapping[int, Sequence[int]]


def digest(tables: Tables) -> str:
    """A short identifier of a set of tables, the same for every file with these tables."""
    return _digest(_hashable(tables))


def quality(tables: Tables) -> int:
    """The libjpeg quality, 1 to 100, with the nearest luminance table; 0 if there is no table.

    Exact for files that libjpeg, libjpeg-turbo or Pillow saved; cameras and Photoshop use their own tables.

    >>> quality({0: _scaled()[74].tolist()})
    75
    """
    return _quality(_hashable(tables))


def _hashable(tables: Tables) -> tuple[tuple[int, tuple[int, ...]], ...]:
    return tuple(sorted((number, tuple(table)) for number, table in tables.items()))


@lru_cache(maxsize=1024)
def _digest(tables: tuple[tuple[int, tuple[int, ...]], ...]) -> str:
    return hashlib.sha256(repr(tables).encode()).hexdigest()[:12]


@lru_cache(maxsize=1024)
def _quality(tables: tuple[tuple[int, tuple[int, ...]], ...]) -> int:
    if not tables or len(tables[0][1]) != 64:
        return 0
    apart = np.abs(_scaled() - np.array(tables[0][1])).sum(axis=1)
    # The lowest qualities share one table; take the highest of them.
    return int(np.flatnonzero(apart == apart.min())[-1]) + 1


@lru_cache(maxsize=1)
def _scaled() -> NDArray[np.int64]:
    """(100, 64): the luminance table of every quality, as libjpeg's ``jpeg_set_quality`` makes it."""
    standard = np.array(_STANDARD.split(), np.int64)
    wanted = np.arange(1, 101)
    percent = np.where(wanted < 50, 5000 // wanted, 200 - 2 * wanted)[:, None]
    return ((standard * percent + 50) // 100).clip(1, 255)
