"""Cache of earlier scans by path, size and time, so that unchanged files are not read again."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from facevalue.data.file_facts import EMPTY_FACTS, VERSION
from facevalue.errors import FaceValueError
from facevalue.images import decoding
from facevalue.support import files

_KEY = ("size", "modified", "changed")
_YOUNG = 2_000_000_000
"""Nanoseconds. A file written so shortly before the scan could change again without a new time stamp (git calls this
"racily clean"). Its facts are not cached."""

Key = tuple[int, int, int]
NO_FILE: Key = (-1, -1, -1)


class ScanCache:
    """The facts of one source's files, in one Parquet file in the user's cache folder.

    A cache file that is missing, damaged or incomplete is ignored. Each source has its own cache file, which holds only
    the files of the last scan, so it does not grow without limit. In memory are a number and the key of each file;
    facts are read some at a time, in the order of the scan.
    """

    def __init__(self, source: Path) -> None:
        made_by = f"{VERSION}\n{decoding.decoder_version()}"
        name = hashlib.sha256(f"{made_by}\n{Path.cwd() / source}".encode(errors="surrogateescape")).hexdigest()
        self.path = files.cache_folder() / "scans" / f"{name[:32]}.parquet"
        self._now = time.time_ns()
        self._known = _Known.read(self.path)

    def known(self, paths: Sequence[str], keys: NDArray[np.int64]) -> tuple[NDArray[np.bool_], pd.DataFrame]:
        """(n,) which files have not changed since the last scan, and their facts, one row for each of those.

        Parameters
        ----------
        paths : (n,) of the files.
        keys : (n, 3) their keys now, see :func:`key_of`.
        """
        known: NDArray[np.bool_] = np.zeros(len(paths), bool)
        if self._known is None:
            return known, pd.DataFrame(columns=list(EMPTY_FACTS))
        try:
            places = self._known.places(paths, keys)
            facts = self._known.rows(places[places >= 0])
        except Exception:  # a damaged file can raise anything
            self._known = None
            return self.known(paths, keys)
        found = np.flatnonzero(places >= 0)
        # The pixel limit may be lower now. Two paths may have the same hash.
        limit = decoding.pixel_limit()
        same = np.array([paths[i] == path for i, path in zip(found.tolist(), facts["path"], strict=True)], np.bool_)
        usable = same & (facts["width"] * facts["height"] <= limit).to_numpy(np.bool_)
        known[found[usable]] = True
        return known, facts.loc[usable, list(EMPTY_FACTS)].reset_index(drop=True)

    def put(self, parts: Iterable[tuple[pd.DataFrame, NDArray[np.int64]]], whole: bool = True) -> bool:
        """Save the facts of a scan's files, all or none; False if the cache cannot be written.

        Parameters
        ----------
        parts : rows of the files in their order and their keys, some at a time; at least one part.
        whole : whether these are all files. If not, what is known of others from the last scan is kept.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            with files.replacing_file(self.path) as partial, ExitStack() as opened:
                done: list[NDArray[np.int64]] = []
                writer = None
                for table, keys in parts:
                    part = pa.Table.from_pandas(self._reusable(table, keys), preserve_index=False)
                    if writer is None:
                        writer = opened.enter_context(pq.ParquetWriter(partial, part.schema))
                    if len(part) or not done:
                        writer.write_table(part.cast(writer.schema))
                    done.append(np.empty(0, np.int64) if whole else hashes_of(table["path"]))
                if self._known is not None and writer is not None:
                    for part in () if whole else self._known.without(np.concatenate(done)):
                        writer.write_table(part.select(writer.schema.names).cast(writer.schema))
                    self._known.close()  # so that its file can be replaced
                    self._known = None
        except (OSError, FaceValueError, pa.ArrowException):
            return False
        return True

    def _reusable(self, table: pd.DataFrame, keys: NDArray[np.int64]) -> pd.DataFrame:
        """The rows that another scan may take, with their keys."""
        old = (keys != NO_FILE).all(axis=1) & (keys[:, 1:].max(axis=1) < self._now - _YOUNG)
        kept = old & (table["error"] == "").to_numpy(bool)
        stamps = {name: keys[kept, i] for i, name in enumerate(_KEY)}
        reusable: pd.DataFrame = table.loc[kept, ["path", *EMPTY_FACTS]].assign(**stamps)
        return reusable


def key_of(path: str) -> Key:
    """Size in bytes, and the times of the last change of content and status in ns; :data:`NO_FILE` without a file."""
    try:
        status = os.stat(path)  # noqa: PTH116 - there may be millions, and a Path for each takes longer than this
    except (OSError, ValueError):
        return NO_FILE
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


class _Known:
    """An opened cache file: where each path is, and its key."""

    def __init__(self, file: Any, hashes: NDArray[np.int64], keys: NDArray[np.int64]) -> None:
        self._file = file
        self._order = np.argsort(hashes, kind="stable")
        self._hashes = hashes[self._order]
        self._keys = keys
        counts = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
        self._ends = np.cumsum(counts)
        self._last: tuple[int, pd.DataFrame] | None = None

    @classmethod
    def read(cls, path: Path) -> _Known | None:
        """The cache file at ``path``; ``None`` if there is none, or if it is damaged."""
        if not path.is_file():
            return None
        import pyarrow.parquet as pq

        try:
            file = pq.ParquetFile(path)
            hashes, keys = [np.empty(0, np.int64)], [np.empty((0, len(_KEY)), np.int64)]
            for i in range(file.num_row_groups):
                part = file.read_row_group(i, columns=["path", *_KEY])
                hashes.append(hashes_of(part["path"].to_pylist()))
                keys.append(np.stack([part[name].to_numpy() for name in _KEY], axis=1))
            kinds = file.schema_arrow.empty_table().to_pandas().dtypes
            if any(kinds[name] != kind for name, kind in pd.DataFrame(EMPTY_FACTS, index=[0]).dtypes.items()):
                return None
            return cls(file, np.concatenate(hashes), np.concatenate(keys))
        except Exception:  # a damaged file can raise anything
            return None

    def close(self) -> None:
        """Close the file, which is to be replaced."""
        self._file.close()

    def without(self, hashes: NDArray[np.int64]) -> Iterator[Any]:
        """The rows, as Arrow tables, of paths that have none of these hashes; fewer if the file is damaged."""
        sorted_once = np.sort(hashes)  # np.isin would sort them for each group
        try:
            for i in range(self._file.num_row_groups):
                part = self._file.read_row_group(i)
                own = hashes_of(part["path"].to_pylist())
                others = part.filter(_places(own, sorted_once) < 0)
                if len(others):
                    yield others
        except Exception:  # a damaged file can raise anything
            return

    def places(self, paths: Sequence[str], keys: NDArray[np.int64]) -> NDArray[np.int64]:
        """(n,) the row of each path, as its hash says; -1 if there is none, or if its key has changed."""
        found = _places(hashes_of(paths), self._hashes)
        there = found >= 0
        found[there] = self._order[found[there]]
        found[there] = np.where((self._keys[found[there]] == keys[there]).all(axis=1), found[there], -1)
        return found

    def rows(self, places: NDArray[np.int64]) -> pd.DataFrame:
        """The facts and the path of these rows, in this order."""
        group = np.searchsorted(self._ends, places, side="right")
        # Files come in the order of the last scan, so each part is read about once.
        tables = [self._part(int(i)).iloc[:0] for i in ([] if len(places) else [0])]
        for i in np.unique(group):
            mine = places[group == i]
            start = self._ends[i - 1] if i else 0
            tables.append(self._part(int(i)).iloc[mine - start])
        joined = pd.concat(tables, ignore_index=True)
        return joined.iloc[np.argsort(np.argsort(group, kind="stable"), kind="stable")].reset_index(drop=True)

    def _part(self, i: int) -> pd.DataFrame:
        if self._last is None or self._last[0] != i:
            self._last = i, self._file.read_row_group(i, columns=["path", *EMPTY_FACTS]).to_pandas()
        return self._last[1]


def _places(wanted: NDArray[np.int64], ascending: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n,) the first place of each number in an ascending array; -1 where it is not there."""
    at = np.searchsorted(ascending, wanted)
    inside = at < len(ascending)
    found = np.full(len(wanted), -1)
    found[inside] = np.where(ascending[at[inside]] == wanted[inside], at[inside], -1)
    return found


def hashes_of(paths: Collection[str]) -> NDArray[np.int64]:
    """(n,) a number for each path, in this process only."""
    return np.fromiter(map(hash, paths), np.int64, len(paths))
