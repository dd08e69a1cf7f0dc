"""Read every image once and collect its facts in a manifest."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import is_numeric_dtype

from facevalue.data.dataset import ImageDataset
from facevalue.data.facts_pool import FactsPool
from facevalue.data.file_facts import EMPTY_FACTS, facts_of, facts_of_bytes, facts_of_pixels, sha256_of
from facevalue.data.layout import Listed, list_files, listed_in
from facevalue.data.manifest import COLUMNS, Manifest, expect_columns
from facevalue.data.scan_cache import ScanCache, key_of
from facevalue.errors import DataError, UsageError
from facevalue.evidence.findings import finding, say
from facevalue.images.walker import summary
from facevalue.support import files, machine, progress

TABLE = "the table"
"""The name of a DataFrame in messages and on cards."""

_CHUNK = 4096  # facts are collected as Python objects for this many files, then packed into a compact table

Data = Path | str | pd.DataFrame | ImageDataset
"""Labelled images: a folder, a manifest file, a table with ``path`` and ``label``, or a dataset."""


def scan(
    source: Data,
    *,
    fresh: bool = False,
    loose: bool = False,
    classes: Collection[str] = (),
    nested_groups: bool = False,
    before: Callable[[Manifest], object] | None = None,
) -> Manifest:
    """Read every image of ``source``.

    Files with the same path, size and times as in an earlier scan are taken from the cache. Files that cannot be read
    stay in the table, with the reason in ``error``.

    Parameters
    ----------
    source : a folder with one sub-folder per class, one with ``train/`` and held-out folders, a manifest file, a table
        with ``path`` and ``label``, or a dataset.
    fresh : read every file, without the cache.
    loose : if no sub-folder holds images, take those in the folder itself, with the label ``""``.
    classes, nested_groups : see :func:`facevalue.data.layout.list_files`.
    before : called with the manifest of all files before any is read, to check what names alone can tell.

    Returns
    -------
    A manifest with the columns :data:`facevalue.data.manifest.COLUMNS`, those of :mod:`facevalue.data.file_facts`, and
    further columns of a given manifest. Images outside the classes are a warning; skipped files are counted in a note.

    Raises
    ------
    UsageError
        ``source`` does not exist.
    DataError
        It has no readable image.
    """
    if not isinstance(source, ImageDataset | pd.DataFrame | str | os.PathLike):
        raise UsageError(
            "Expected data as a folder, a manifest file, a DataFrame or an ImageDataset, but got "
            f"{type(source).__name__}; ImageDataset.from_arrays takes images with labels"
        )
    if isinstance(source, ImageDataset):
        return _of_dataset(source)
    if isinstance(source, pd.DataFrame):
        expect_columns(source, TABLE)
        place, listing = Path(TABLE), listed_in(source, Path(), TABLE)
    else:
        place = Path(source)
        listing = list_files(place, loose=loose, classes=classes, nested_groups=nested_groups)
    say(listing.notes)
    passed = summary(listing.ignored)
    if passed is not None:
        say([finding("files-passed-over", passed, n=len(listing.ignored))])
    if before is not None:
        empty = pd.DataFrame(EMPTY_FACTS, index=range(len(listing.files)))
        before(Manifest(_table(listing.files, empty), str(place)))
    listed, listing = list(listing.files), replace(listing, files=())
    manifest = _read_all(listed, str(place), ScanCache(place), fresh)
    return replace(manifest, warnings=listing.warnings, notes=listing.notes, ignored=listing.ignored)


def _of_dataset(dataset: ImageDataset) -> Manifest:
    """The manifest of a dataset; its images are read unless it was scanned before."""
    rows, scanned = dataset.rows, "sha256" in dataset.rows.columns
    digests = list(rows["sha256"]) if scanned else [""] * len(rows)
    # Named by content, so that images of two datasets never share a name.
    paths = [
        str(image) if isinstance(image, Path) else f"memory:{digest or sha256_of(image)}"
        for image, digest in zip(dataset.images, digests, strict=True)
    ]
    images = {p: image for p, image in zip(paths, dataset.images, strict=True) if not isinstance(image, Path)}
    if scanned:
        return Manifest(_with_unreadable(rows.assign(path=paths), dataset.unreadable), dataset.source, images=images)
    extra = [c for c in rows.columns if c not in ("label", "split")]
    listed = [
        Listed(
            path=path,
            key=f"{i:06d}" if path in images else path,
            label=str(row["label"]),
            split=str(row["split"]),
            extra=tuple((str(c), row[c]) for c in extra),
        )
        for i, (path, row) in enumerate(zip(paths, rows.to_dict("records"), strict=True))
    ]
    return _read_all(listed, dataset.source, None, False, images)


def _with_unreadable(table: pd.DataFrame, unreadable: Sequence[Mapping[str, str]]) -> pd.DataFrame:
    """The table with an added row for each file that was left out, so that reports still list it."""
    if not unreadable:
        return table
    bad = pd.DataFrame(
        [{**EMPTY_FACTS, "path": one["path"], "key": one["path"], "error": one["reason"]} for one in unreadable]
    )
    absent = {name: 0 if is_numeric_dtype(table[name]) else "" for name in table.columns if name not in bad.columns}
    joined = pd.concat([table, bad.assign(**absent)[list(table.columns)]], ignore_index=True)
    return joined.astype(table.dtypes.to_dict())


def _read_all(
    listed: list[Listed],
    source: str,
    cache: ScanCache | None,
    fresh: bool,
    images: Mapping[str, bytes | NDArray[np.uint8]] | None = None,
) -> Manifest:
    """A manifest of the listed images; ``images`` holds those in memory by name.

    The list is emptied when all are read: of a million files it takes 250 MB.
    """
    images = images or {}
    n = len(listed)
    chunks: list[_Chunk] = []
    known = None if fresh or cache is None else cache.known
    stopped: BaseException | None = None
    try:
        with progress.work("reading images", n) as work, FactsPool() as pool:
            facts = partial(_facts, pool, images)
            for start in range(0, n, _CHUNK):
                chunks.append(_read(listed[start : start + _CHUNK], known, facts, work))
                if chunks[-1].stopped is not None:
                    raise chunks[-1].stopped
    except BaseException as error:  # raised again when what was read is cached
        stopped = error
    listed.clear()
    news = any(chunk.news for chunk in chunks)
    kept = cache is not None and news and cache.put(((c.table, c.keys) for c in chunks), whole=stopped is None)
    if isinstance(stopped, KeyboardInterrupt) and kept:
        done = sum(len(chunk.table) for chunk in chunks)
        text = f"the next scan reads only what is left ({done:,} of {n:,} files were looked at)"
        raise KeyboardInterrupt(text) from stopped
    if stopped is not None:
        raise stopped
    table = pd.concat([chunk.table for chunk in chunks], ignore_index=True)
    del chunks
    manifest = Manifest(table=table, source=source, images=images)
    if not (table["error"] == "").any():
        first = manifest.unreadable[0]
        raise DataError(f"none of the {len(table)} files in {source} can be read; {first['path']} {first['reason']}")
    return manifest


@dataclass(frozen=True, eq=False)
class _Chunk:
    """Some files: their rows of the manifest, their cache keys (n, 3), and how many of them are new.

    If reading was ``stopped`` by an error such as Ctrl-C, the files that were not read are left out.
    """

    table: pd.DataFrame
    keys: NDArray[np.int64]
    news: int
    stopped: BaseException | None


def _read(
    some: Sequence[Listed],
    known: Callable[[Sequence[str], NDArray[np.int64]], tuple[NDArray[np.bool_], pd.DataFrame]] | None,
    facts_of_all: Callable[[Sequence[str]], Iterable[dict[str, Any]]],
    work: progress.Work,
) -> _Chunk:
    """Read files, or take them from an earlier scan where they are ``known``; those do not count for the rate."""
    paths = [file.path for file in some]
    keys = np.array([key_of(path) for path in paths], np.int64).reshape(-1, 3)
    old, facts = (np.zeros(len(some), bool), None) if known is None else known(paths, keys)
    work.skip(int(old.sum()))
    new: list[dict[str, Any]] = []
    stopped = None
    try:
        for read in facts_of_all([paths[i] for i in np.flatnonzero(~old)]):
            new.append(read)
            work.advance()
    except BaseException as error:
        stopped = error
    places = np.r_[np.flatnonzero(old), np.flatnonzero(~old)[: len(new)]]
    if new or facts is None:
        table = pd.DataFrame({name: [one[name] for one in new] for name in EMPTY_FACTS})
        facts = table if facts is None or not len(facts) else pd.concat([facts, table]).iloc[np.argsort(places)]
    places.sort()
    return _Chunk(_table([some[i] for i in places], facts.reset_index(drop=True)), keys[places], len(new), stopped)


def _facts(
    pool: FactsPool, images: Mapping[str, bytes | NDArray[np.uint8]], paths: Sequence[str]
) -> Iterable[dict[str, Any]]:
    """Facts of these files, or of the ``images`` in memory, in order."""

    def one(path: str) -> dict[str, Any]:
        image = images.get(path)
        if image is None:
            return facts_of(Path(path))
        return facts_of_bytes(image) if isinstance(image, bytes) else facts_of_pixels(image)

    return pool.facts_of(paths) if pool.suits(len(paths)) and not images else machine.in_order(one, paths)


def _table(listed: Sequence[Listed], facts: pd.DataFrame) -> pd.DataFrame:
    """One row per file: its columns from a given manifest, its place, its facts."""
    extra = [dict(file.extra) for file in listed] if any(file.extra for file in listed) else None
    table = facts[[]] if extra is None else pd.DataFrame(extra)
    group = (
        [file.parent for file in listed]
        if extra is None
        else [str(own.get("group", file.parent)) for own, file in zip(extra, listed, strict=True)]
    )
    table = table.assign(
        path=[files.as_text(file.path) for file in listed],
        key=[files.as_text(file.key) for file in listed],
        label=[files.as_text(file.label) for file in listed],
        group=[files.as_text(name) for name in group],
        split=[file.split for file in listed],
        **{name: facts[name] for name in EMPTY_FACTS},
    )
    return table[[*COLUMNS, *(c for c in table.columns if c not in COLUMNS)]]
