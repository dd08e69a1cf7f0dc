"""Which of many 256-bit hashes are near one another, without comparing all with all.

Ours and not faiss: at a million hashes its binary indexes take as long (``benchmarks/near_duplicates_faiss.py``), but
overlook a pair at the radius in 1 % of cases where ours does in 0.01 %, with six times the memory, and a crowd of
near-duplicates fills the memory, because all its pairs are returned.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facevalue.data.hashes import BITS, NEAR, distances
from facevalue.support import progress

EXACT = 4096
"""Up to so many different hashes, each is compared with each."""

MISS = 1e-4
"""Above that: how likely a pair at exactly the radius is overlooked. For a nearer pair it is far less likely."""

_BLOCK = 1024
_BUDGET = 1_000_000_000  # pairs compared at most in one table, so that no input takes for ever
_CHUNK = 4_000_000  # pairs held in memory at a time

Pairs = NDArray[np.int64]


@dataclass(frozen=True)
class Clusters:
    """What hangs together.

    Attributes
    ----------
    labels : (n,) int64; hashes with the same number are joined by a chain of near ones. Numbers are those of the first
        member.
    compared : pairs of hashes that were compared.
    complete : False where crowded hashes would have taken too many comparisons, so that some pairs were passed over.
    """

    labels: NDArray[np.int64]
    compared: int
    complete: bool = True

    @property
    def groups(self) -> list[NDArray[np.intp]]:
        """Members of each cluster of at least two, by their first member."""
        order = np.argsort(self.labels, kind="stable")
        parts = np.split(order, np.flatnonzero(np.diff(self.labels[order])) + 1)
        return [part for part in parts if len(part) > 1]


def clusters(hashes: NDArray[np.uint64], near: int = NEAR, exact: int = EXACT) -> Clusters:
    """Join hashes that differ in at most ``near`` bits, and whatever they are joined with.

    Few hashes are compared all with all. Many are put into the buckets of several tables: a table's bucket is the value
    of some bits drawn at random (Indyk & Motwani 1998), and only hashes that share a bucket are compared, bit by bit;
    so no pair is ever joined that is not near. There are as many tables as it takes to overlook a pair at exactly
    ``near`` bits with probability :data:`MISS`, whatever the hashes are. The draw is always the same.

    Parameters
    ----------
    hashes : (n, 4) uint64.
    near : the radius, in bits.
    exact : most different hashes that are compared all with all.
    """
    if not 0 <= near < BITS:
        raise ValueError(f"Expected near from 0 to {BITS - 1} bits, but got {near}")
    # A million copies of one hash are one hash.
    different, first, copy = np.unique(hashes, axis=0, return_index=True, return_inverse=True)
    copy = copy.reshape(-1)
    search = _Search(different, near)
    if near > 0:
        if len(different) <= exact:
            search.compare_all()
        else:
            search.compare_buckets()
    joined = search.labels()
    earliest = np.full(len(different), len(hashes))
    np.minimum.at(earliest, joined, first)
    return Clusters(earliest[joined][copy], search.compared, search.complete)


def tables_needed(n: int, near: int, miss: float = MISS) -> tuple[int, int]:
    """Bits of a bucket, and tables, for ``n`` hashes.

    A pair that differs in ``near`` bits shares a bucket where none of them was drawn.

    >>> tables_needed(1_000_000, 32)
    (21, 168)
    """
    bits = max(8, math.ceil(math.log2(n)) + 1)
    together = math.comb(BITS - near, bits) / math.comb(BITS, bits)
    return bits, max(1, math.ceil(math.log(miss) / math.log1p(-together)))


class _Search:
    """The state of one search: what is joined so far, and how many pairs were compared."""

    def __init__(self, hashes: NDArray[np.uint64], near: int) -> None:
        self.hashes = hashes
        self.near = near
        self.compared = 0
        self.complete = True
        self._labels = np.arange(len(hashes))
        self._found: list[Pairs] = []

    def labels(self) -> NDArray[np.int64]:
        """(n,) what is joined, as the number of one member."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        if self._found:
            i, j = self._labels[np.concatenate(self._found, axis=1)]
            n = len(self._labels)
            links = coo_array((np.ones(len(i), np.int8), (i, j)), shape=(n, n))
            _, component = connected_components(links, directed=False)
            member = np.full(n, n)
            np.minimum.at(member, component, np.arange(n))
            self._labels = member[component[self._labels]]
            self._found = []
        return self._labels

    def compare_all(self) -> None:
        """Each with each, in blocks that fit a processor's cache."""
        n = len(self.hashes)
        for top in range(0, n, _BLOCK):
            rows = self.hashes[top : top + _BLOCK]
            for left in range(top, n, _BLOCK):
                columns = self.hashes[left : left + _BLOCK]
                apart = np.zeros((len(rows), len(columns)), np.uint16)
                for word in range(BITS // 64):
                    apart += np.bitwise_count(rows[:, None, word] ^ columns[None, :, word])
                i, j = np.nonzero(apart <= self.near)
                self._join(i + top, j + left)
        self.compared += n * (n - 1) // 2

    def compare_buckets(self) -> None:
        """Those that share a bucket of a table."""
        n = len(self.hashes)
        bits, tables = tables_needed(n, self.near)
        rng = np.random.default_rng(0)
        for _ in progress.track(range(tables), "searching near-duplicates", unit="tables"):
            keys = _bits_of(self.hashes, rng.choice(BITS, bits, replace=False))
            # Sorted by key; within a bucket in an order that differs by table.
            shuffled = rng.permutation(n)
            order = shuffled[np.argsort(keys[shuffled], kind="stable")]
            self._compare_runs(order, keys[order])

    def _compare_runs(self, order: NDArray[np.int64], keys: NDArray[np.uint64]) -> None:
        """Compare all within each run of equal keys, where it is not joined already: neighbours first, then further."""
        start = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]])
        size = np.diff(np.r_[start, len(keys)])
        keep = size > 1
        start, size = start[keep], size[keep]
        spent, apart, look = 0, 1, 1
        while len(start):
            if apart == look:  # at 1, 2, 4, 8, …: a crowd of near-duplicates is one after the first few
                labels = self.labels()[order] if apart > 1 else self._labels[order]
                keep = _torn(labels, start, size)
                start, size = start[keep], size[keep]
                look *= 2
            pairs = int((size - apart).clip(0).sum())
            if spent + pairs > _BUDGET:
                self.complete = False
                break
            for some in _portions(start, size - apart):
                first = _ranges(*some)
                self._compare(order[first], order[first + apart])
            spent += pairs
            apart += 1
            keep = size > apart
            start, size = start[keep], size[keep]

    def _compare(self, i: Pairs, j: Pairs) -> None:
        torn = self._labels[i] != self._labels[j]
        i, j = i[torn], j[torn]
        near = distances(self.hashes[i], self.hashes[j]) <= self.near
        self.compared += len(i)
        self._join(i[near], j[near])

    def _join(self, i: Pairs, j: Pairs) -> None:
        apart = i != j
        if apart.any():
            self._found.append(np.stack([i[apart], j[apart]]))
        if sum(part.shape[1] for part in self._found) > max(100_000, len(self.hashes) // 4):
            self.labels()


def _bits_of(hashes: NDArray[np.uint64], chosen: NDArray[np.int64]) -> NDArray[np.uint64]:
    """(n,) the chosen bits of each hash as a number."""
    keys = np.zeros(len(hashes), np.uint64)
    words = np.ascontiguousarray(hashes.T)
    for place, bit in enumerate(chosen):
        keys |= ((words[bit // 64] >> np.uint64(bit % 64)) & np.uint64(1)) << np.uint64(place)
    return keys


def _torn(labels: NDArray[np.int64], start: NDArray[np.intp], size: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Which runs hold more than one label."""
    if not len(start):
        return np.zeros(0, bool)
    member = labels[_ranges(start, size)]
    first = np.r_[0, np.cumsum(size)[:-1]]
    torn: NDArray[np.bool_] = np.minimum.reduceat(member, first) != np.maximum.reduceat(member, first)
    return torn


def _ranges(start: NDArray[np.intp], size: NDArray[np.intp]) -> NDArray[np.intp]:
    """``start[0], start[0] + 1, …`` of each of these runs, one after the other.

    >>> _ranges(np.array([3, 10]), np.array([2, 3])).tolist()
    [3, 4, 10, 11, 12]
    """
    before = np.cumsum(size) - size
    places: NDArray[np.intp] = np.arange(size.sum()) + np.repeat(start - before, size)
    return places


def _portions(start: NDArray[np.intp], size: NDArray[np.intp]) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Runs in portions of about ``_CHUNK`` members."""
    cuts = np.flatnonzero(np.diff(np.cumsum(size) // _CHUNK)) + 1
    return list(zip(np.split(start, cuts), np.split(size, cuts), strict=True))
