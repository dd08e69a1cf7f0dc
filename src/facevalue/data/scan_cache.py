"""Cache of earlier scans by path, size and time, so that unchanged files are not read again."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from facevalue.data.file_facts import EMPTY_FACTS, VERSION
from facevalue.errors import FaceValueError
from facevalue.images import decoding
from facevalue.support import files

_KEY = ("path", "size", "modified", "changed")
_YOUNG = 2_000_000_000
"""Nanoseconds. A file written so shortly before the scan could change again without a new time stamp (git calls this
"racily clean"). Its facts are not cached."""

Key = tuple[int, int, int]


class ScanCache:
    """The facts of one source's files, in one Parquet file in the user's cache folder.

    A cache file that is missing, damaged or incomplete is ignored. Each source has its own cache file, which holds only
    the files of the last scan, so it does not grow without limit.
    """

    def __init__(self, source: Path) -> None:
        made_by = f"{VERSION}\n{decoding.decoder_version()}"
        name = hashlib.sha256(f"{made_by}\n{Path.cwd() / source}".encode(errors="surrogateescape")).hexdigest()
        self.path = files.cache_folder() / "scans" / f"{name[:32]}.parquet"
        self._known, self._place = _read(self.path)
        self._now = time.time_ns()

    def get(self, path: str, key: Key | None) -> dict[str, Any] | None:
        """The cached facts of a file; ``None`` if there are none or the file has changed."""
        place = self._place.get(path)
        if place is None or key is None or tuple(self._known[c][place] for c in _KEY[1:]) != key:
            return None
        facts = {name: self._known[name][place] for name in EMPTY_FACTS}
        # The pixel limit may be lower now.
        return None if facts["width"] * facts["height"] > decoding.pixel_limit() else facts

    def put(self, table: pd.DataFrame, keys: Sequence[Key | None]) -> None:
        """Save the facts of a scan's files, all or none. If the cache cannot be written, nothing is cached."""
        stamped = pd.DataFrame([key or (0, self._now, 0) for key in keys], columns=list(_KEY[1:]), index=table.index)
        stamped = stamped.astype("int64")
        old = stamped[["modified", "changed"]].max(axis=1) < self._now - _YOUNG
        reusable = pd.concat([table[["path", *EMPTY_FACTS]], stamped], axis=1)[old & (table["error"] == "")]
        try:
            with files.replacing_file(self.path) as partial:
                reusable.to_parquet(partial, index=False)
        except (OSError, FaceValueError):
            return


def key_of(path: Path) -> Key | None:
    """Size in bytes, and the times of the last change of content and status in ns; ``None`` if there is no file."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _read(path: Path) -> tuple[dict[str, Any], dict[str, int]]:
    try:
        table = pd.read_parquet(path, columns=[*_KEY, *EMPTY_FACTS])
        known = {name: table[name].tolist() for name in table.columns}
    except Exception:  # a damaged file can raise anything
        return {}, {}
    first = {name: known[name][0] for name in EMPTY_FACTS if known["path"]}
    if any(type(value) is not type(EMPTY_FACTS[name]) for name, value in first.items()):
        return {}, {}
    return known, {path: i for i, path in enumerate(known["path"])}
