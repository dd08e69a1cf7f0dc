"""Buckets of hashes: hashes that agree in some bits, so that few pairs have to be compared (Indyk & Motwani 1998)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from facevalue.data.hashes import BITS, distances

MISS = 1e-4
"""The probability to miss a pair at exactly the radius. For nearer pairs it is far smaller."""

_FEWEST_BITS, _MOST_BITS = 8, 64
_SAMPLE = 200_000  # pairs whose distances are looked at
_SORTING = 2  # time to put a hash into a bucket, in comparisons of a pair

Places = NDArray[np.int64]


class Plan(NamedTuple):
    """How many randomly drawn bits name a bucket, and how many tables of buckets are needed."""

    bits: int
    tables: int


def plan(hashes: NDArray[np.uint64], near: int) -> Plan:
    """The fastest plan that misses a pair at ``near`` bits with probability :data:`MISS` at most.

    More bits make smaller buckets, so fewer pairs are compared in a table, but take more tables. The best number
    depends on the hashes: those of images of one kind agree in far more bits than random ones.

    Parameters
    ----------
    hashes : (n, 4) uint64, all different.
    near : the radius, in bits.
    """
    n = len(hashes)
    i, j = np.random.default_rng(0).integers(0, max(1, n), (2, _SAMPLE if n else 0))
    apart = np.bincount(distances(hashes[i], hashes[j])[i != j], minlength=BITS + 1)
    # Pairs within the radius are few, or are joined after a few comparisons.
    apart[: near + 1] = 0
    pairs = n * n / 2 * apart / _SAMPLE
    fewest, most = (min(bits, BITS - near) for bits in (_FEWEST_BITS, _MOST_BITS))
    plans = [Plan(bits, tables_needed(bits, near)) for bits in range(fewest, most + 1)]
    together = [[_agree(distance, bits) for distance in range(BITS + 1)] for bits, _ in plans]
    costs = [tables * (_SORTING * n + pairs @ share) for (_, tables), share in zip(plans, together, strict=True)]
    return plans[int(np.argmin(costs))]


def tables_needed(bits: int, near: int) -> int:
    """Number of tables so that a pair at ``near`` bits shares a bucket in one of them, but for :data:`MISS`.

    >>> tables_needed(21, 32)
    168
    """
    return max(1, math.ceil(math.log(MISS) / math.log1p(-_agree(near, bits)))) if near else 1


def _agree(distance: int, bits: int) -> float:
    """The probability that two hashes with this distance agree in all of the drawn bits."""
    return math.comb(BITS - distance, bits) / math.comb(BITS, bits)


def tables(hashes: NDArray[np.uint64], planned: Plan) -> Iterator[tuple[Places, Places]]:
    """The buckets of each table that hold at least two hashes. The draw is always the same.

    Parameters
    ----------
    hashes : (n, 4) uint64.

    Yields
    ------
    The positions of the hashes (m,), bucket by bucket, and the sizes of the buckets. The order within a bucket differs
    between tables. Rarely a bucket also holds a hash that does not agree with the others.
    """
    n = len(hashes)
    words = np.ascontiguousarray(hashes.T)
    rng = np.random.default_rng(0)
    # The low bits of a key hold the position, scrambled. So all keys differ: sorting them is fast and has one result.
    low = np.uint64(max(1, (n - 1).bit_length()))
    mask = (np.uint64(1) << low) - np.uint64(1)
    position = np.arange(n, dtype=np.uint64)
    for _ in range(planned.tables):
        masks = np.zeros(len(words), np.uint64)
        for bit in rng.choice(BITS, planned.bits, replace=False).tolist():
            masks[bit // 64] |= np.uint64(1 << bit % 64)
        odd = rng.integers(0, 2**64, len(words) + 1, dtype=np.uint64) | np.uint64(1)
        keys = np.zeros(n, np.uint64)
        for word, chosen, factor in zip(words, masks, odd[1:], strict=True):
            keys += (word & chosen) * factor  # its high bits depend on all chosen bits (Dietzfelbinger et al. 1997)
        keys = (keys & ~mask) | (position * odd[0] & mask)
        keys.sort()
        start, size = _runs(keys >> low)
        inverse = np.uint64(pow(int(odd[0]), -1, 1 << 64))
        yield ((keys[ranges(start, size)] & mask) * inverse & mask).astype(np.int64), size


def _runs(values: NDArray[np.uint64]) -> tuple[Places, Places]:
    """Start and size of each run of at least two equal values."""
    same = np.zeros(len(values) + 1, np.bool_)
    same[1:-1] = values[1:] == values[:-1]
    start = np.flatnonzero(~same[:-1] & same[1:])
    return start, np.flatnonzero(same[:-1] & ~same[1:]) + 1 - start


def ranges(start: Places, size: Places) -> Places:
    """``start[0], start[0] + 1, …`` of each of these runs, one after the other.

    >>> ranges(np.array([3, 10]), np.array([2, 3])).tolist()
    [3, 4, 10, 11, 12]
    """
    before = np.cumsum(size) - size
    places: Places = np.arange(size.sum()) + np.repeat(start - before, size)
    return places


def mixed(labels: NDArray[np.int64], start: Places, size: Places) -> NDArray[np.bool_]:
    """Which runs hold more than one label.

    >>> mixed(np.array([5, 5, 5, 7]), np.array([0, 2]), np.array([2, 2])).tolist()
    [False, True]
    """
    if not len(start):
        return np.zeros(0, bool)
    member = labels[ranges(start, size)]
    first = np.r_[0, np.cumsum(size)[:-1]]
    several: NDArray[np.bool_] = np.minimum.reduceat(member, first) != np.maximum.reduceat(member, first)
    return several


def followers(start: Places, size: Places, apart: int) -> tuple[Places, Places]:
    """The members of runs that others follow at a distance of ``apart`` to ``2 * apart - 1``, and how many.

    >>> [part.tolist() for part in followers(np.array([0, 10]), np.array([2, 4]), 1)]
    [[0, 10, 11, 12], [1, 1, 1, 1]]
    >>> [part.tolist() for part in followers(np.array([0, 10]), np.array([2, 4]), 2)]
    [[10, 11], [2, 1]]
    """
    member = ranges(start, size)
    behind = np.repeat(start + size - 1, size) - member
    some = behind >= apart
    return member[some], np.minimum(behind[some] - apart + 1, apart)


def portions(first: Places, count: Places, most: int) -> list[tuple[Places, Places]]:
    """Members and their numbers of followers, in portions of about ``most`` pairs."""
    cuts = np.flatnonzero(np.diff(np.cumsum(count) // most)) + 1
    return list(zip(np.split(first, cuts), np.split(count, cuts), strict=True))
