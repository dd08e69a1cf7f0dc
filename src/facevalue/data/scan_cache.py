"""What earlier scans found, by path, size and time, so that a file that has not changed is not read again."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from facevalue.data.file_facts import NOTHING, VERSION
from facevalue.errors import FaceValueError
from facevalue.images import decoding
from facevalue.support import files

_KEY = ("path", "size", "modified", "changed")
_YOUNG = 2_000_000_000
"""Nanoseconds. A file that was written so shortly before it was read could change again within one tick of the clock,
and look the same (git's «racily clean»); it is read again the next time."""

Key = tuple[int, int, int]


class ScanCache:
    """The facts of one source's files, in one Parquet file in the user's cache folder.

    Nothing depends on it: what cannot be read, or does not hold what it should, is as if it were not there. Each source
    has its own file, which holds the files of the last scan only, so that it does not grow for ever.
    """

    def __init__(self, source: Path) -> None:
        made_by = f"{VERSION}\n{decoding.decoder_version()}"
        name = hashlib.sha256(f"{made_by}\n{Path.cwd() / source}".encode(errors="surrogateescape")).hexdigest()
        self.path = files.cache_folder() / "scans" / f"{name[:32]}.parquet"
        self._known, self._place = _read(self.path)
        self._now = time.time_ns()

    def get(self, path: str, key: Key | None) -> dict[str, Any] | None:
        """The facts of a file that has not changed since they were found."""
        place = self._place.get(path)
        if place is None or key is None or tuple(self._known[c][place] for c in _KEY[1:]) != key:
            return None
        facts = {name: self._known[name][place] for name in NOTHING}
        # A limit on pixels may have come since.
        return None if facts["width"] * facts["height"] > decoding.pixel_limit() else facts

    def put(self, table: pd.DataFrame, keys: Sequence[Key | None]) -> None:
        """Remember the facts of a scan's files, whole or not at all. A cache that cannot be written is none."""
        stamped = pd.DataFrame([key or (0, self._now, 0) for key in keys], columns=list(_KEY[1:]), index=table.index)
        stamped = stamped.astype("int64")
        old = stamped[["modified", "changed"]].max(axis=1) < self._now - _YOUNG
        kept = pd.concat([table[["path", *NOTHING]], stamped], axis=1)[old & (table["error"] == "")]
        try:
            with files.replacing_file(self.path) as partial:
                kept.to_parquet(partial, index=False)
        except (OSError, FaceValueError):
            return


def key_of(path: Path) -> Key | None:
    """Size, and when the contents and the entry last changed, in nanoseconds; ``None`` where there is no such file."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _read(path: Path) -> tuple[dict[str, Any], dict[str, int]]:
    try:
        table = pd.read_parquet(path, columns=[*_KEY, *NOTHING])
        known = {name: table[name].tolist() for name in table.columns}
    except Exception:  # whatever a damaged file makes its reader raise
        return {}, {}
    first = {name: known[name][0] for name in NOTHING if known["path"]}
    if any(type(value) is not type(NOTHING[name]) for name, value in first.items()):
        return {}, {}
    return known, {path: i for i, path in enumerate(known["path"])}
