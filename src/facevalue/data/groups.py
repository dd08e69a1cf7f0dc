"""Groups: images that must stay on one side of a split."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from facevalue.data.hashes import NEAR, unpack
from facevalue.data.manifest import Manifest
from facevalue.data.near_duplicates import Clusters, clusters
from facevalue.errors import DataError, UsageError
from facevalue.evidence.findings import Finding, distinct, finding

__all__ = ["NEAR", "check_groups", "with_groups"]

_MUCH = (
    0.25  # share of a class in one group of near-duplicates, or of all images in cut chains, that is worth a warning
)
_SETTINGS = (
    "Name what belongs together with `groups`, or change the radius of near-duplicates (split.near, now {near} bits; "
    "-1 joins none)"
)
_FEW = 12  # images of a class below which a share says nothing


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
    if near is None:
        return manifest.changed(groups=how, group=keys)
    found = clusters(unpack(table["phash"][readable]), near)
    keys[readable] = _joined(keys[readable], found)
    labels = table["label"][readable].to_numpy(str)
    told = [*_crowded(labels, found, near), *_cut(found, near)]
    return manifest.changed(
        groups=how,
        group=keys,
        warnings=distinct([*manifest.warnings, *(f for f in told if f.severity == "warning")]),
        notes=distinct([*manifest.notes, *(f for f in told if f.severity == "info")]),
    )


def _crowded(labels: NDArray[np.str_], found: Clusters, near: int) -> list[Finding]:
    """A warning where one group of near-duplicates takes much of a class."""
    told = {}
    for label in np.unique(labels):
        mine = found.labels[labels == label]
        share = np.bincount(np.unique(mine, return_inverse=True)[1]).max() / len(mine)
        if share >= _MUCH and len(mine) >= _FEW:
            told[str(label)] = f"{share:.0%} of {str(label)!r}"
    if not told:
        return []
    more = f" and of {len(told) - 3} more classes" if len(told) > 3 else ""
    text = (
        f"images that look nearly alike make one group of {', '.join([*told.values()][:3])}{more}, which goes into one "
        f"split as a whole. {_SETTINGS.format(near=near)}"
    )
    return [finding("near-duplicates-take-class", text, labels=tuple(told), near=near)]


def _cut(found: Clusters, near: int) -> list[Finding]:
    """Where chains of near-duplicates were cut: a warning where they are much of the images, else a note."""
    cut, n = int(found.cut.sum()), len(found.labels)
    if not cut:
        return []
    text = (
        f"{cut} of {n} images form chains in which each looks nearly like some other, as a fixed camera's images do. "
        f"Chains were cut, so near-duplicates can lie in different splits. {_SETTINGS.format(near=near)}"
    )
    if cut >= _MUCH * n:
        return [finding("near-duplicate-chains", text, cut=cut, n=n, near=near)]
    return [finding("near-duplicate-chains-cut", text, cut=cut, n=n, near=near)]


def check_groups(manifest: Manifest, how: str | None, shares: Collection[str]) -> None:
    """Ask, before any image is read, whether each class has a group for every split that is to be made.

    Parameters
    ----------
    manifest : of files by name; near-duplicates are not known yet.
    how : see :func:`with_groups`.
    shares : the splits that are made where none are given.

    Raises
    ------
    DataError
        A class has too few groups; the message says how to go on.
    """
    given = set(manifest.table["split"]) - {""}
    wanted = [split for split in shares if split not in given]
    if not wanted:
        return
    grouped = with_groups(manifest, how, None)
    if grouped.groups == "image":
        return
    table = grouped.table
    rows = table[table["split"] == "train"] if given else table
    for label, names in rows.groupby("label")["group"]:
        n = names.nunique()
        if n <= len(wanted) and len(names) > n:
            shown = ", ".join(sorted(map(str, names.unique()))[:3])
            raise DataError(
                f"class {label!r} has {n} group{'s' * (n != 1)} ({shown}; taken by {grouped.groups}), and a group "
                f"never crosses a split: at least {len(wanted) + 1} are needed. If images of one group may lie in "
                "different splits, give `groups` image; near-duplicates stay together all the same"
            )


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


def _joined(keys: NDArray[np.str_], found: Clusters) -> NDArray[np.str_]:
    """Keys after joining the groups of near-duplicates.

    A joined group takes the name that most of its images bear, and of several the shortest, then the first: a
    newcomer, often a copy with a longer name, seldom renames what is there, so that few move to another split.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    names, group = np.unique(keys, return_inverse=True)
    # Each image's group hangs together with that of the first image of its cluster.
    pairs = np.stack([group, group[found.labels]])
    links = coo_matrix((np.ones(len(group)), (pairs[0], pairs[1])), shape=(len(names), len(names)))
    _, component = connected_components(links, directed=False)
    order = np.lexsort((names, np.char.str_len(names), -np.bincount(group, minlength=len(names))))
    first = np.full(component.max() + 1, len(names))
    np.minimum.at(first, component[order], np.arange(len(names)))
    joined: NDArray[np.str_] = names[order[first[component[group]]]]
    return joined
