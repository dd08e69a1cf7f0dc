"""Find duplicates and near-duplicates, within a class and across classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from facevalue.data.column_values import repeated
from facevalue.data.hashes import NEAR, distances, unpack
from facevalue.data.near_duplicates import Clusters, clusters
from facevalue.support import progress

_LARGEST = 2000
"""Most images per group of near-duplicates that are compared for contradicting labels."""


@dataclass(frozen=True)
class Contradiction:
    """Images that look the same but have different labels.

    Attributes
    ----------
    paths, labels : (n,) of the images, from at least two classes.
    distance : bits in which the hashes of the nearest two images of different classes differ; 0 for identical files.
    identical : whether files of different classes have the same bytes.
    """

    paths: tuple[str, ...]
    labels: tuple[str, ...]
    distance: int
    identical: bool


@dataclass(frozen=True)
class Copies:
    """Groups of paths, the largest first.

    Attributes
    ----------
    duplicates : files with the same bytes.
    near : images that look the same, at least two of them with different bytes.
    contradictions : of both kinds, those with different labels; the nearest first.
    complete : False if too many images look alike, so that not every pair was compared.
    """

    duplicates: tuple[tuple[str, ...], ...]
    near: tuple[tuple[str, ...], ...]
    contradictions: tuple[Contradiction, ...]
    complete: bool


def find_copies(table: pd.DataFrame, near: int = NEAR, found: Clusters | None = None) -> Copies:
    """Find copies among readable rows; ``found`` are the clusters of their hashes, if these are known already."""
    twice = table.loc[repeated(table["sha256"]), ["sha256", "path"]]
    duplicates = [tuple(rows) for _, rows in twice.groupby("sha256")["path"]]
    if found is None:
        with progress.within("copies"):
            found = clusters(unpack(table["phash"]), near)
    # As numbers, and only where images look alike: there may be ten thousands of groups in a million rows.
    alike = np.bincount(found.chains)[found.chains] > 1
    file, label = (np.zeros(len(table), np.int64) for _ in range(2))
    for codes, column in ((file, "sha256"), (label, "label")):
        codes[alike] = pd.factorize(table[column][alike])[0]
    groups = [members for members in found.groups if np.ptp(file[members])]
    path = _values(table["path"], groups)
    same = [tuple(path[i] for i in members) for members in groups]
    mixed = [members[:_LARGEST] for members in found.chained if np.ptp(label[members])]
    columns = [_values(table[name], mixed) for name in ("path", "label", "sha256", "phash")]
    contradictions = []
    for members in mixed:
        paths, labels, files, hashes = ([column[i] for i in members] for column in columns)
        contradictions.extend(_contradictions(paths, labels, files, unpack(hashes), near))
    return Copies(
        duplicates=_largest_first(duplicates),
        near=_largest_first(same),
        contradictions=tuple(sorted(contradictions, key=lambda c: (c.distance, c.paths))),
        complete=found.complete,
    )


def _values(column: pd.Series[str], groups: Sequence[NDArray[np.intp]]) -> dict[int, str]:
    """The values of the rows in these groups, by position."""
    needed = np.unique(np.concatenate(groups)) if groups else np.empty(0, np.intp)
    return dict(zip(needed.tolist(), map(str, column.iloc[needed]), strict=True))


def _contradictions(
    paths: list[str], named: list[str], files: list[str], hashes: NDArray[np.uint64], near: int
) -> list[Contradiction]:
    """Contradictions in a chain of near-duplicates: connected groups of images near an image of another class.

    The ends of a chain need not look alike, so each image is compared only with those near it.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    labels, bytes_of = np.array(named, object), np.array(files, object)
    apart = np.stack([distances(one, hashes) for one in hashes])
    against = (apart <= near) & (labels[:, None] != labels[None])
    _, part = connected_components(coo_array(against), directed=False)
    found = []
    for name in np.unique(part[against.any(axis=1)]):
        members = np.flatnonzero(part == name)
        inside = np.ix_(members, members)
        same = (bytes_of[members][:, None] == bytes_of[members][None]) & against[inside]
        found.append(
            Contradiction(
                paths=tuple(paths[i] for i in members),
                labels=tuple(named[i] for i in members),
                distance=int(apart[inside][against[inside]].min()),
                identical=bool(same.any()),
            )
        )
    return found


def _largest_first(groups: list[tuple[str, ...]]) -> tuple[tuple[str, ...], ...]:
    return tuple(sorted(groups, key=lambda paths: (-len(paths), paths)))
