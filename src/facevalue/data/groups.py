"""Groups: images that must stay on one side of a split."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import PurePosixPath

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from facevalue.data.clusters_cache import clusters_of
from facevalue.data.column_values import repeated
from facevalue.data.hashes import NEAR, unpack
from facevalue.data.manifest import Manifest
from facevalue.data.near_duplicates import Clusters
from facevalue.errors import DataError, UsageError
from facevalue.evidence.findings import Finding, distinct, finding
from facevalue.support import progress

__all__ = ["NEAR", "check_groups", "with_groups"]

# Warn from this share on: of a class in one group of near-duplicates, or of all images in chains that were cut.
_LARGE_SHARE = 0.25
_ADVICE = (
    "Say which images belong together with `groups`, or change the radius of near-duplicates (split.near, now {near} "
    "bits; -1 joins none)"
)
_MIN_CLASS_SIZE = 12  # in a smaller class a share means nothing


def look_alikes(manifest: Manifest, near: int = NEAR) -> Clusters:
    """Clusters of near-duplicates among the readable images, in their order."""
    with progress.within("grouping"):
        return clusters_of(unpack(manifest.readable_of("phash")["phash"]), near, manifest.source)


def with_groups(
    manifest: Manifest, how: str | None = None, near: int | None = NEAR, found: Clusters | None = None
) -> Manifest:
    """Fill the column ``group``.

    Parameters
    ----------
    manifest : as scanned.
    how : ``parent`` (the folder below the class), ``stem:REGEX`` (what the pattern's first group matches in the file
        name), the name of a column, or ``image`` (each image is its own group). The default is the column ``group`` if
        the manifest has one, else ``parent`` if images lie in folders below their class, else ``image``.
    near : images whose perceptual hashes differ in at most this many bits are near-duplicates and share a group.
        ``None`` switches this off.
    found : the :func:`look_alikes` of the manifest for this ``near``, if they are known already.

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
    names = _group_names(manifest, how)
    # An image without a group name is its own group.
    keys = "file:" + table["key"]
    keys = keys if names is None else names.where(names != "", keys)
    if near is None:
        return manifest.changed(groups=how, group=keys)
    found = look_alikes(manifest, near) if found is None else found
    keys = _joined(keys, (table["error"] == "").to_numpy(np.bool_), found)
    labels = manifest.readable_of("label")["label"]
    findings = [*_large_group_findings(labels, found, near), *_cut_chain_findings(found, near)]
    return manifest.changed(
        groups=how,
        group=keys,
        warnings=distinct([*manifest.warnings, *(f for f in findings if f.severity == "warning")]),
        notes=distinct([*manifest.notes, *(f for f in findings if f.severity == "info")]),
    )


def _large_group_findings(labels: pd.Series[str], found: Clusters, near: int) -> list[Finding]:
    """A warning if one group of near-duplicates holds a large share of a class."""
    if not len(labels):
        return []
    shares = {}
    codes, names = pd.factorize(labels, sort=True)
    of_class = np.split(np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes))[:-1])
    for label, places in zip(names, of_class, strict=True):
        mine = found.labels[places]
        share = np.unique(mine, return_counts=True)[1].max() / len(mine)
        if share >= _LARGE_SHARE and len(mine) >= _MIN_CLASS_SIZE:
            shares[str(label)] = f"{share:.0%} of {str(label)!r}"
    if not shares:
        return []
    more = f" and of {len(shares) - 3} more classes" if len(shares) > 3 else ""
    text = (
        f"one group of near-duplicates holds {', '.join([*shares.values()][:3])}{more}; the whole group goes into one "
        f"split. {_ADVICE.format(near=near)}"
    )
    return [finding("near-duplicates-take-class", text, labels=tuple(shares), near=near)]


def _cut_chain_findings(found: Clusters, near: int) -> list[Finding]:
    """A warning if chains of near-duplicates were cut and hold a large share of the images, else a note."""
    cut, n = int(found.cut.sum()), len(found.labels)
    if not cut:
        return []
    text = (
        f"{cut} of {n} images form chains of near-duplicates, as images of a fixed camera do: each is like the next. "
        f"Chains were cut, so near-duplicates can lie in different splits. {_ADVICE.format(near=near)}"
    )
    if cut >= _LARGE_SHARE * n:
        return [finding("near-duplicate-chains", text, cut=cut, n=n, near=near)]
    return [finding("near-duplicate-chains-cut", text, cut=cut, n=n, near=near)]


def check_groups(manifest: Manifest, how: str | None, shares: Collection[str]) -> None:
    """Check, before any image is read, that each class has enough groups for all splits.

    Parameters
    ----------
    manifest : made from file names; near-duplicates are not known yet.
    how : see :func:`with_groups`.
    shares : the splits to make, apart from those that the data already has.

    Raises
    ------
    DataError
        A class has too few groups.
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
            examples = ", ".join(sorted(map(str, names.unique()))[:3])
            raise DataError(
                f"class {label!r} has {n} group{'s' * (n != 1)} ({examples}; grouped by {grouped.groups}), but needs "
                f"at least {len(wanted) + 1}, because a group stays in one split. If images of one group may lie in "
                "different splits, as where the folders are sources (cameras, collections, generators), set `groups` "
                "to image; near-duplicates still stay together"
            )


def _group_names(manifest: Manifest, how: str) -> pd.Series[str] | None:
    """The name of each image's group, "" where it has none; ``None`` if no image has one."""
    table = manifest.table
    if how == "image":
        return None
    if how == "parent":
        if (table["group"] == "").all():
            raise DataError(f"`groups` parent: no image of {manifest.source} lies in a folder below its class")
        return table["group"]
    if how.startswith("stem:"):
        try:
            pattern = re.compile(how.removeprefix("stem:"))
        except re.error as error:
            raise UsageError(f"`groups` {how}: not a regular expression: {error}") from error
        found = [pattern.search(PurePosixPath(key).stem) for key in table["key"]]
        if not any(found):
            raise DataError(f"`groups` {how}: the pattern matches no file name, e.g. {table['key'].iloc[0]}")
        names = [(m.group(1) if m.groups() else m.group(0)) or "" if m else "" for m in found]
        return pd.Series(names, index=table.index, dtype=table["key"].dtype)
    if how in table.columns:
        return table[how].astype(str)
    raise UsageError(f"`groups` {how}: expected parent, image, stem:REGEX or a column of the manifest")


def _joined(keys: pd.Series[str], readable: NDArray[np.bool_], found: Clusters) -> pd.Series[str]:
    """Keys (n,) after joining the groups of near-duplicates, of which ``found`` knows the readable images.

    Of a million images most are like no other; only the others are looked at.
    """
    several = repeated(keys)
    several[readable] |= np.bincount(found.labels)[found.labels] > 1
    places = np.flatnonzero(several & readable)
    if not len(places):
        return keys
    among = np.cumsum(readable)[places] - 1  # their places among the readable images, as the clusters count
    # The first image of a cluster is one of them.
    first = np.searchsorted(among, found.labels[among])
    group, names = pd.factorize(keys.iloc[places])
    joined = keys.copy()
    joined.iloc[places] = names.take(_joined_groups(group, names, first))
    return joined


def _joined_groups(group: NDArray[np.int64], names: pd.Index[str], first_like: NDArray[np.int64]) -> NDArray[np.int64]:
    """Groups (n,), as positions in ``names``, after joining those of images and the first image like them.

    A joined group takes the most frequent name among its images; of several, the shortest, then the first. A new image,
    often a copy with a longer name, then seldom renames an existing group, so few images move to another split.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    # Link each image's group with the group of the first image in its cluster.
    pairs = np.stack([group, group[first_like]])
    links = coo_matrix((np.ones(len(group)), (pairs[0], pairs[1])), shape=(len(names), len(names)))
    _, component = connected_components(links, directed=False)
    size = np.bincount(group, minlength=len(names))
    first = np.empty(component.max() + 1, np.int64)
    first[component] = np.arange(len(names))
    several = np.flatnonzero(np.bincount(component)[component] > 1)
    text = dict(zip(several, names.take(several), strict=True))
    for one in sorted(several, key=lambda i: (-size[i], len(text[i]), text[i]), reverse=True):
        first[component[one]] = one  # the last one written is the best
    joined: NDArray[np.int64] = first[component[group]]
    return joined
