"""Find near-duplicates among many 256-bit hashes without comparing every pair.

Not faiss: at a million hashes its binary indexes take longer (``benchmarks/near_duplicates_faiss.py``), but miss 1 %
of the pairs at the radius instead of 0.01 %, use six times the memory, and return all pairs, which fills the memory if
many images are near-duplicates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facevalue.data import hash_buckets
from facevalue.data.hash_buckets import Places
from facevalue.data.hashes import BITS, NEAR, distances
from facevalue.support import progress

VERSION = 1
"""Version of the search; results of different versions can differ."""

EXACT = 4096
"""Up to this number of different hashes, every pair is compared."""

_BLOCK = 1024
_BUDGET = 1_000_000_000  # most pairs compared per table, so that the search always ends
_CHUNK = 500_000  # pairs in memory at a time
_TRIED = 64  # candidates for the centre of a cluster in a large chain


@dataclass(frozen=True)
class Clusters:
    """Clusters of near hashes.

    Attributes
    ----------
    labels : (n,) int64; hashes with the same label are all near one of them. A label is the index of the first member.
    chains : (n,) int64; hashes with the same label are connected by a chain of near ones, of any length. A label is
        the index of the first member.
    compared : pairs of hashes that were compared.
    complete : False if too many hashes are near one another, so that some pairs were not compared.
    """

    labels: NDArray[np.int64]
    chains: NDArray[np.int64]
    compared: int
    complete: bool = True

    @property
    def groups(self) -> list[NDArray[np.intp]]:
        """Members of each cluster of at least two, by their first member."""
        return _members(self.labels)

    @property
    def chained(self) -> list[NDArray[np.intp]]:
        """Members of each chain of at least two, by their first member."""
        return _members(self.chains)

    @property
    def cut(self) -> NDArray[np.bool_]:
        """(n,) whether a hash is in a chain that was cut into several clusters."""
        whole: NDArray[np.bool_] = np.zeros(len(self.labels), bool)
        for members in self.chained:
            whole[members] = len(np.unique(self.labels[members])) > 1
        return whole


def clusters(hashes: NDArray[np.uint64], near: int = NEAR, exact: int = EXACT) -> Clusters:
    """Cluster hashes that differ in at most ``near`` bits from a common member.

    Chains of near hashes are found first. A chain can be very long: each image of a fixed camera is near the next. So
    chains are cut into stars: the hash with most neighbours forms a cluster with them, then the one with most of the
    remaining neighbours, and so on. Copies of one image are all near it and stay together.

    Up to ``exact`` hashes, every pair is compared. With more, only hashes that share a bucket in one of several tables
    are compared; a bucket is the value of randomly drawn bits (:mod:`facevalue.data.hash_buckets`). A pair at exactly
    ``near`` bits is missed with probability 0.0001, a nearer one with far less. The draw is always the same.

    Parameters
    ----------
    hashes : (n, 4) uint64.
    near : the radius, in bits.
    exact : up to this number of different hashes, every pair is compared.
    """
    if not 0 <= near < BITS:
        raise ValueError(f"Expected near from 0 to {BITS - 1} bits, but got {near}")
    # Equal hashes are searched only once.
    different, first, copy = np.unique(hashes, axis=0, return_index=True, return_inverse=True)
    copy = copy.reshape(-1)
    search = _Search(different, near)
    if near > 0:
        if len(different) <= exact:
            search.compare_all()
        else:
            search.compare_buckets()
    chains = search.labels()
    stars = chains.copy()
    for members in _members(chains):
        stars[members] = members[search.stars(members, exact)]
    return Clusters(
        labels=_by_first(stars, first, len(hashes))[copy],
        chains=_by_first(chains, first, len(hashes))[copy],
        compared=search.compared,
        complete=search.complete,
    )


def _by_first(joined: NDArray[np.int64], first: NDArray[np.intp], n: int) -> NDArray[np.int64]:
    """Labels as the index of the first of all hashes with that label."""
    earliest = np.full(len(joined), n)
    np.minimum.at(earliest, joined, first)
    return earliest[joined]


def _members(labels: NDArray[np.int64]) -> list[NDArray[np.intp]]:
    order = np.argsort(labels, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(labels[order])) + 1, len(order))
    starts = np.append(0, ends[:-1])
    several = ends - starts > 1  # most are alone: no object for each of them
    return [order[start:end] for start, end in zip(starts[several], ends[several], strict=True)]


class _Search:
    """The state of one search: the hashes joined so far, and the number of pairs compared."""

    def __init__(self, hashes: NDArray[np.uint64], near: int) -> None:
        self.hashes = hashes
        self.near = near
        self.compared = 0
        self.complete = True
        self._middle = hashes[:, 1:3].copy()  # the signs of the frequencies, which differ most between images
        self._labels = np.arange(len(hashes))
        self._found: list[Places] = []

    def labels(self) -> NDArray[np.int64]:
        """(n,) label of each hash: the index of one member of its chain."""
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

    def stars(self, members: NDArray[np.intp], exact: int) -> NDArray[np.intp]:
        """(m,) for each member of a chain, the position of the member that represents its cluster.

        Up to ``exact`` members, the hash with most neighbours comes first; with more, the best of some candidates.
        """
        hashes = self.hashes[members]
        if len(members) <= exact:
            return self._stars_of_few(hashes)
        centre = np.full(len(members), -1)
        left = np.arange(len(members))
        while len(left):
            around = self._near(hashes[left[0]], hashes[left])
            tried = np.flatnonzero(around)[1 : _TRIED if self.compared < _BUDGET else 1]
            best = max([around, *(self._near(hashes[left[i]], hashes[left]) for i in tried)], key=np.count_nonzero)
            centre[left[best]] = left[best][0]
            left = left[~best]
        return centre

    def _stars_of_few(self, hashes: NDArray[np.uint64]) -> NDArray[np.intp]:
        near = np.stack([self._near(one, hashes) for one in hashes])
        centre = np.full(len(hashes), -1)
        count = near.sum(axis=1)  # neighbours of each hash that are in no cluster yet
        while (centre < 0).any():
            best = int(np.argmax(count))
            taken = np.flatnonzero(near[best] & (centre < 0))
            centre[taken] = best
            count -= near[:, taken].sum(axis=1)
            count[taken] = -1
        return centre

    def _near(self, one: NDArray[np.uint64], others: NDArray[np.uint64]) -> NDArray[np.bool_]:
        self.compared += len(others)
        near: NDArray[np.bool_] = distances(one, others) <= self.near
        return near

    def compare_all(self) -> None:
        """Compare every pair, in blocks that fit a processor's cache."""
        n = len(self.hashes)
        for top in progress.track(range(0, n, _BLOCK), "comparing images", unit="blocks"):
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
        """Compare the hashes that share a bucket of a table."""
        planned = hash_buckets.plan(self.hashes, self.near)
        found = hash_buckets.tables(self.hashes, planned)
        for order, size in progress.track(found, "searching near-duplicates", planned.tables, unit="tables"):
            self._compare_within(order, size)

    def _compare_within(self, order: Places, size: Places) -> None:
        """Compare the hashes within each bucket of a table, unless already joined: adjacent ones first."""
        words = self._middle[order].T.copy()
        start, of_all, new = np.cumsum(size) - size, self._labels, True
        labels = of_all[order]
        spent, apart = 0, 1
        while len(start):
            # Those 1, 2 to 3, 4 to 7, … places apart: many near-duplicates are joined after the first few.
            keep = size > apart
            if new:
                keep &= hash_buckets.mixed(labels, start, size)
            start, size = start[keep], size[keep]
            for first, count in hash_buckets.portions(*hash_buckets.followers(start, size, apart), _CHUNK):
                spent += int(count.sum())
                if spent > _BUDGET:
                    self.complete = False
                    return
                i, j = np.repeat(first, count), hash_buckets.ranges(first + apart, count)
                separate = labels[i] != labels[j]
                self._compare(i[separate], j[separate], order, words)
            apart *= 2
            new = self.labels() is not of_all
            if new:
                of_all = self._labels
                labels = of_all[order]

    def _compare(self, i: Places, j: Places, order: Places, words: NDArray[np.uint64]) -> None:
        """Compare the members ``i`` and ``j`` of buckets that are in ``order``, first by these words (2, m) of them."""
        self.compared += len(i)
        apart = np.bitwise_count(words[0][i] ^ words[0][j]) + np.bitwise_count(words[1][i] ^ words[1][j])
        near = apart <= self.near  # half of the bits rule out nearly all pairs
        i, j = order[i[near]], order[j[near]]
        near = distances(self.hashes[i], self.hashes[j]) <= self.near
        self._join(i[near], j[near])

    def _join(self, i: Places, j: Places) -> None:
        apart = i != j
        if apart.any():
            self._found.append(np.stack([i[apart], j[apart]]))
        if sum(part.shape[1] for part in self._found) > max(100_000, len(self.hashes) // 4):
            self.labels()
