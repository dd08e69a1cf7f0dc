"""The same image more than once: byte for byte, or nearly, in one class or in several."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from facevalue.data.hashes import NEAR, distances, unpack
from facevalue.data.near_duplicates import clusters

_LARGEST = 2000
"""Of a larger group of near-duplicates, so many are compared for contradictions."""


@dataclass(frozen=True)
class Contradiction:
    """Images that look the same and bear different labels.

    Attributes
    ----------
    paths, labels : (n,) one of each class at least.
    distance : bits in which the nearest two of different classes differ; 0 where they are the same file too.
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
    near : images that look the same and of which at least two have different bytes.
    contradictions : of all these, with several labels; the nearest first.
    complete : False where the search passed over some pairs of a crowd.
    """

    duplicates: tuple[tuple[str, ...], ...]
    near: tuple[tuple[str, ...], ...]
    contradictions: tuple[Contradiction, ...]
    complete: bool


def find_copies(table: pd.DataFrame, near: int = NEAR) -> Copies:
    """Copies among readable rows."""
    duplicates = [tuple(rows) for _, rows in table.groupby("sha256")["path"] if len(rows) > 1]
    hashes = unpack(table["phash"])
    found = clusters(hashes, near)
    alike, torn = [], []
    for members in found.groups:
        rows = table.iloc[members]
        if rows["sha256"].nunique() > 1:
            alike.append(tuple(rows["path"]))
    for members in found.chained:
        rows = table.iloc[members]
        if rows["label"].nunique() > 1:
            torn.extend(_contradictions(rows.iloc[:_LARGEST], hashes[members[:_LARGEST]], near))
    return Copies(
        duplicates=_largest_first(duplicates),
        near=_largest_first(alike),
        contradictions=tuple(sorted(torn, key=lambda c: (c.distance, c.paths))),
        complete=found.complete,
    )


def _contradictions(rows: pd.DataFrame, hashes: np.ndarray, near: int) -> list[Contradiction]:
    """Images of a chain that have one of another class near themselves, in the parts that hang together so.

    Its ends need not look alike, so each image is held only against those near itself.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    labels = rows["label"].to_numpy(object)
    apart = np.stack([distances(one, hashes) for one in hashes])
    against = (apart <= near) & (labels[:, None] != labels[None])
    _, part = connected_components(coo_array(against), directed=False)
    bytes_of = rows["sha256"].to_numpy(object)
    found = []
    for name in np.unique(part[against.any(axis=1)]):
        members = np.flatnonzero(part == name)
        inside = np.ix_(members, members)
        same = (bytes_of[members][:, None] == bytes_of[members][None]) & against[inside]
        found.append(
            Contradiction(
                paths=tuple(rows["path"].iloc[members]),
                labels=tuple(labels[members]),
                distance=int(apart[inside][against[inside]].min()),
                identical=bool(same.any()),
            )
        )
    return found


def _largest_first(groups: list[tuple[str, ...]]) -> tuple[tuple[str, ...], ...]:
    return tuple(sorted(groups, key=lambda paths: (-len(paths), paths)))
