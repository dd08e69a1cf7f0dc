"""Groups: images that must stay on one side of a split."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from facevalue.data.hashes import NEAR, unpack
from facevalue.data.manifest import Manifest
from facevalue.data.near_duplicates import clusters
from facevalue.errors import DataError, UsageError

__all__ = ["NEAR", "with_groups"]


def with_groups(manifest: Manifest, how: str | None = None, near: int | None = NEAR) -> Manifest:
    """Fill the column ``group``.

    Parameters
    ----------
    manifest : as scanned.
    how : ``parent`` (the folder below the class), ``stem:REGEX`` (the pattern's first captured part of the file
        name), the name of a column, or ``image`` (each by itself). By default ``group`` where a manifest brings that
        column, else ``parent`` where images lie in folders below their class, else ``image``.
    near : most bits in which perceptual hashes of near-duplicates differ; near-duplicates join their groups.
        ``None`` switches it off.

    Raises
    ------
    UsageError
        The pattern is not a regular expression, or there is no such column.
    DataError
        The pattern matches no file name.
    """
    table = manifest.table
    if how is None:
        how = "parent" if (table["group"] != "").any() else "image"
    names = _named(manifest, how)
    # An image that no rule puts with others is a group of its own.
    keys = np.where(names == "", "file:" + table["key"].to_numpy(str), names)
    readable = (table["error"] == "").to_numpy()
    if near is not None:
        keys[readable] = _joined(keys[readable], unpack(table["phash"][readable]), near)
    return manifest.changed(groups=how, group=keys)


def _named(manifest: Manifest, how: str) -> NDArray[np.str_]:
    table = manifest.table
    if how == "image":
        return np.full(len(table), "", dtype=object).astype(str)
    if how == "parent":
        if (table["group"] == "").all():
            raise DataError(f"`groups` parent: no image of {manifest.source} lies in a folder below its class")
        return table["group"].to_numpy(str)
    if how.startswith("stem:"):
        try:
            pattern = re.compile(how.removeprefix("stem:"))
        except re.error as error:
            raise UsageError(f"`groups` {how}: not a regular expression: {error}") from error
        found = [pattern.search(PurePosixPath(key).stem) for key in table["key"]]
        if not any(found):
            raise DataError(f"`groups` {how}: the pattern matches no file name, e.g. {table['key'].iloc[0]}")
        return np.array([(m.group(1) if m.groups() else m.group(0)) or "" if m else "" for m in found], dtype=str)
    if how in table.columns:
        return table[how].to_numpy(str)
    raise UsageError(f"`groups` {how}: expected parent, image, stem:REGEX or a column of the manifest")


def _joined(keys: NDArray[np.str_], hashes: NDArray[np.uint64], near: int) -> NDArray[np.str_]:
    """Keys after joining the groups of near-duplicates.

    A joined group takes the name that most of its images bear, and of several the shortest, then the first: a
    newcomer, often a copy with a longer name, seldom renames what is there, so that few move to another split.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    names, group = np.unique(keys, return_inverse=True)
    # Each image's group hangs together with that of the first image of its cluster.
    pairs = np.stack([group, group[clusters(hashes, near).labels]])
    links = coo_matrix((np.ones(len(group)), (pairs[0], pairs[1])), shape=(len(names), len(names)))
    _, component = connected_components(links, directed=False)
    order = np.lexsort((names, np.char.str_len(names), -np.bincount(group, minlength=len(names))))
    first = np.full(component.max() + 1, len(names))
    np.minimum.at(first, component[order], np.arange(len(names)))
    joined: NDArray[np.str_] = names[order[first[component[group]]]]
    return joined
