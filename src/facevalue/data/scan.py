"""One pass over every file: can it be read, what is it, and what does it look like."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd

from facevalue.data.file_facts import NOTHING, facts_of
from facevalue.data.layout import Listed, left_aside, list_files
from facevalue.data.manifest import COLUMNS, Manifest
from facevalue.data.scan_cache import Key, ScanCache, key_of
from facevalue.errors import DataError
from facevalue.support import files, machine, progress

_CHUNK = 4096  # files whose facts are Python objects at a time; the rest lie in compact tables


def scan(source: Path | str, *, fresh: bool = False, loose: bool = False) -> Manifest:
    """Read every image that ``source`` names.

    What an earlier scan found is taken for files whose path, size and times are the same. Files that cannot be read
    stay in the table with the reason in ``error``.

    Parameters
    ----------
    source : a folder with one sub-folder per class, one with ``train/`` and held-out folders, or a manifest.
    fresh : read every file, whatever is remembered.
    loose : where no sub-folder holds images, take those that lie in the folder itself, with ``""`` for a label.

    Returns
    -------
    The columns :data:`facevalue.data.manifest.COLUMNS`, those of :mod:`facevalue.data.file_facts`, and what a manifest
    brought. What lies in the folder but in no class is a warning.

    Raises
    ------
    UsageError
        ``source`` is not there.
    DataError
        It has no readable image at all.
    """
    source = Path(source)
    listed = list_files(source, loose=loose)
    cache = ScanCache(source)
    parts: list[pd.DataFrame] = []
    keys: list[Key | None] = []
    news = 0
    read = partial(_read, cache, fresh)
    found = progress.track(machine.in_order(read, listed), "reading images", total=len(listed))
    try:
        while chunk := list(islice(found, _CHUNK)):
            parts.append(_table(listed[len(keys) : len(keys) + len(chunk)], [facts for facts, _, _ in chunk]))
            keys.extend(key for _, key, _ in chunk)
            news += sum(new for *_, new in chunk)
    finally:
        # After Ctrl-C too: what was read need not be read again.
        if news:
            cache.put(pd.concat(parts, ignore_index=True), keys)
    table = pd.concat(parts, ignore_index=True)
    manifest = Manifest(table=table, source=str(source), warnings=left_aside(source, listed))
    if manifest.readable.empty:
        first = manifest.unreadable[0]
        raise DataError(f"none of the {len(table)} files in {source} can be read; {first['path']} {first['reason']}")
    return manifest


def _read(cache: ScanCache, fresh: bool, file: Listed) -> tuple[dict[str, Any], Key | None, bool]:
    """A file's facts, the key they are remembered by, and whether they are new."""
    path = str(file.path)
    if files.as_text(path) != path:
        return NOTHING | {"error": "has a name that is not UTF-8, which no table can hold; rename it"}, None, False
    key = key_of(file.path)
    facts = None if fresh else cache.get(path, key)
    return (facts_of(file.path), key, True) if facts is None else (facts, key, False)


def _table(listed: Sequence[Listed], facts: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """One row per file: what a manifest brought, what the place says, what the file is."""
    table = pd.DataFrame([dict(file.extra) for file in listed])
    group = [str(dict(file.extra).get("group", file.parent)) for file in listed]
    table = table.assign(
        path=[files.as_text(str(file.path)) for file in listed],
        key=[files.as_text(file.key) for file in listed],
        label=[files.as_text(file.label) for file in listed],
        group=[files.as_text(name) for name in group],
        split=[file.split for file in listed],
        **{name: [of_file[name] for of_file in facts] for name in NOTHING},
    )
    return table[[*COLUMNS, *(c for c in table.columns if c not in COLUMNS)]]
