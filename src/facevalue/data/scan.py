"""Read every image once and collect its facts in a manifest."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import is_numeric_dtype

from facevalue.data.dataset import ImageDataset
from facevalue.data.file_facts import EMPTY_FACTS, facts_of, facts_of_bytes, facts_of_pixels, sha256_of
from facevalue.data.layout import Listed, list_files, listed_in
from facevalue.data.manifest import COLUMNS, Manifest, expect_columns
from facevalue.data.scan_cache import Key, ScanCache, key_of
from facevalue.errors import DataError, UsageError
from facevalue.evidence.findings import finding, say
from facevalue.images.walker import summary
from facevalue.support import files, machine, progress

TABLE = "the table"
"""The name of a DataFrame in messages and on cards."""

_CHUNK = 4096  # facts are collected as Python objects for this many files, then packed into a compact table

_Read = tuple[dict[str, Any], Key | None, bool]
"""An image's facts, their cache key, and whether they are new."""

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
        before(Manifest(_table(listing.files, [EMPTY_FACTS] * len(listing.files)), str(place)))
    manifest = _read_all(listing.files, str(place), ScanCache(place), fresh)
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
            path=Path(path),
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
    listed: Sequence[Listed],
    source: str,
    cache: ScanCache | None,
    fresh: bool,
    images: Mapping[str, bytes | NDArray[np.uint8]] | None = None,
) -> Manifest:
    """A manifest of the listed images; ``images`` holds those in memory by name."""
    images = images or {}
    parts: list[pd.DataFrame] = []
    keys: list[Key | None] = []
    news = 0
    read = partial(_read, cache, fresh, images)
    found = machine.in_order(read, listed)
    try:
        with progress.work("reading images", len(listed)) as work:
            while chunk := list(_counted(islice(found, _CHUNK), work)):
                parts.append(_table(listed[len(keys) : len(keys) + len(chunk)], [facts for facts, _, _ in chunk]))
                keys.extend(key for _, key, _ in chunk)
                news += sum(new for *_, new in chunk)
    finally:
        # After Ctrl-C too, so that the next scan starts from here.
        if news and cache is not None:
            cache.put(pd.concat(parts, ignore_index=True), keys)
    table = pd.concat(parts, ignore_index=True)
    manifest = Manifest(table=table, source=source, images=images)
    if manifest.readable.empty:
        first = manifest.unreadable[0]
        raise DataError(f"none of the {len(table)} files in {source} can be read; {first['path']} {first['reason']}")
    return manifest


def _counted(found: Iterable[_Read], work: progress.Work) -> Iterator[_Read]:
    """The same; those of an earlier scan do not count for the rate."""
    for one in found:
        _, key, new = one
        if new or key is None:  # images in memory have no key
            work.advance()
        else:
            work.skip()
        yield one


def _read(cache: ScanCache | None, fresh: bool, images: Mapping[str, bytes | NDArray[np.uint8]], file: Listed) -> _Read:
    """An image's facts, their cache key, and whether they are new."""
    path = str(file.path)
    if path in images:
        image = images[path]
        return (facts_of_bytes(image) if isinstance(image, bytes) else facts_of_pixels(image)), None, False
    if files.as_text(path) != path:
        return EMPTY_FACTS | {"error": "has a name that is not UTF-8; rename it"}, None, False
    key = key_of(file.path)
    facts = None if fresh or cache is None else cache.get(path, key)
    return (facts_of(file.path), key, True) if facts is None else (facts, key, False)


def _table(listed: Sequence[Listed], facts: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """One row per file: its columns from a given manifest, its place, its facts."""
    table = pd.DataFrame([dict(file.extra) for file in listed])
    group = [str(dict(file.extra).get("group", file.parent)) for file in listed]
    table = table.assign(
        path=[files.as_text(str(file.path)) for file in listed],
        key=[files.as_text(file.key) for file in listed],
        label=[files.as_text(file.label) for file in listed],
        group=[files.as_text(name) for name in group],
        split=[file.split for file in listed],
        **{name: [of_file[name] for of_file in facts] for name in EMPTY_FACTS},
    )
    return table[[*COLUMNS, *(c for c in table.columns if c not in COLUMNS)]]
