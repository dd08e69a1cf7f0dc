"""The manifest: a table of images."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from facevalue.errors import DataError, UsageError
from facevalue.evidence.findings import Finding
from facevalue.support import files

SPLITS = ("train", "validation", "calibration", "test")
COLUMNS = (
    "path",  # as found
    "key",  # relative to the folder, with forward slashes: the same on every machine
    "label",
    "group",
    "split",  # one of SPLITS, or "" where none is given
    "sha256",
    "phash",  # 256-bit perceptual hash, hexadecimal
    "width",
    "height",
    "format",
    "mode",
    "bytes",
    "error",  # why it cannot be read, or ""
)


@dataclass(frozen=True)
class Manifest:
    """A table with the columns :data:`COLUMNS` and others, one row per file, sorted by ``key``.

    Attributes
    ----------
    table : the rows, including unreadable files.
    source : the folder or file it was made from, as the user named it.
    groups : how groups were formed.
    warnings : reasons to doubt figures that are made from these images.
    images : images in memory, by their ``path`` in the table (``memory:`` and a digest).
    notes : about guesses of the folder layout.
    ignored : path and reason of every file that was skipped because it is not an image or is in no class.
    """

    table: pd.DataFrame
    source: str
    groups: str = "image"
    warnings: tuple[Finding, ...] = ()
    notes: tuple[Finding, ...] = ()
    ignored: tuple[dict[str, str], ...] = ()
    images: Mapping[str, bytes | NDArray[np.uint8]] = field(default_factory=dict)

    @property
    def readable(self) -> pd.DataFrame:
        """Rows of the images that can be read."""
        return self.readable_of(*self.table.columns)

    def readable_of(self, *columns: str) -> pd.DataFrame:
        """Some columns of :attr:`readable`: of a million images all columns take half a gigabyte."""
        table, read = self.table[list(columns)], self.table["error"] == ""
        return table.copy(deep=False) if read.all() else table[read]

    @property
    def unreadable(self) -> tuple[dict[str, str], ...]:
        """Path and reason of every file that cannot be read."""
        bad = self.table[self.table["error"] != ""]
        return tuple({"path": p, "reason": r} for p, r in zip(bad["path"], bad["error"], strict=True))

    @property
    def classes(self) -> tuple[str, ...]:
        """Labels of the readable images, sorted."""
        return tuple(sorted(self.readable_of("label")["label"].unique()))

    def rows(self, *splits: str) -> pd.DataFrame:
        """Readable rows of these splits, or of all splits if none is named."""
        table = self.readable
        return table[table["split"].isin(splits)] if splits else table

    def counts(self) -> dict[str, dict[str, int]]:
        """Number of readable images by split and class; images without a split count as ``all``."""
        table = self.readable_of("label", "split")
        names = table["split"].replace("", "all")
        return {
            str(split): {str(label): int(n) for label, n in labels.value_counts().sort_index().items()}
            for split, labels in sorted(table["label"].groupby(names), key=lambda item: _order(str(item[0])))
        }

    def fingerprint(self, *splits: str) -> str:
        """SHA-256 over bytes, label and split of every image; file names do not count."""
        rows = self.readable_of(*FINGERPRINTED)
        return fingerprint(rows[rows["split"].isin(splits)] if splits else rows)

    def changed(
        self,
        *,
        groups: str | None = None,
        warnings: Sequence[Finding] | None = None,
        notes: Sequence[Finding] | None = None,
        **columns: Any,
    ) -> Manifest:
        """A new manifest with columns replaced."""
        return replace(
            self,
            table=self.table.assign(**columns) if columns else self.table,
            groups=self.groups if groups is None else groups,
            warnings=self.warnings if warnings is None else tuple(warnings),
            notes=self.notes if notes is None else tuple(notes),
        )

    def save(self, path: Path) -> None:
        """Write as Parquet, whole or not at all."""
        with files.replacing_file(path) as partial:
            self.table.to_parquet(partial, index=False, row_group_size=_BLOCK)


FINGERPRINTED = ("sha256", "label", "split")
"""The columns that a fingerprint is of."""

_BLOCK = 65_536
"""Rows that are Python strings at a time, or that are decoded at a time where a manifest is read."""


def fingerprint(rows: pd.DataFrame) -> str:
    """SHA-256 over :data:`FINGERPRINTED` of every row, as sorted lines of text; the order of rows does not count."""
    rows = rows[list(FINGERPRINTED)].reset_index(drop=True)
    order = rows["sha256"].argsort().to_numpy()
    known = rows["sha256"].iloc[order].reset_index(drop=True)
    differs = (known.iloc[1:].reset_index(drop=True) != known.iloc[:-1]).to_numpy(bool)
    # Rows of the same file stay in one block: the sorted lines of the blocks are then those of all rows.
    starts = np.append(np.flatnonzero(differs) + 1, len(rows))
    cuts = starts[np.searchsorted(starts, np.arange(_BLOCK, max(_BLOCK, len(rows)), _BLOCK))]
    digest, before = hashlib.sha256(), ""
    for places in np.split(order, np.unique(cuts[cuts < len(rows)])):
        block = rows.iloc[places]
        lines = sorted(map(" ".join, zip(*(map(str, block[name]) for name in FINGERPRINTED), strict=True)))
        digest.update((before + "\n".join(lines)).encode())
        before = "\n"
    return digest.hexdigest()


def _order(split: str) -> tuple[int, str]:
    return (SPLITS.index(split) if split in SPLITS else len(SPLITS), split)


def read_table(path: Path) -> pd.DataFrame:
    """Read a user's manifest: Parquet or CSV with at least ``path`` and ``label``; paths are relative to the file.

    Raises
    ------
    UsageError
        The file is of another type, or a column is missing.
    DataError
        It cannot be parsed.
    """
    try:
        if path.suffix.lower() == ".parquet":
            table = _read_parquet(path)
        elif path.suffix.lower() in (".csv", ".tsv"):
            data = path.read_bytes()
            if b"\0" in data:  # pandas before 3.1 cuts the cell there, and another file would be read
                raise DataError(f"{path} has an impossible path: there is a null character in the text")
            separator = "\t" if path.suffix.lower() == ".tsv" else _separator(path)
            # Excel puts a byte order mark in front.
            table = pd.read_csv(io.BytesIO(data), sep=separator, dtype=str, keep_default_na=False, encoding="utf-8-sig")
        else:
            raise UsageError(f"{path} is neither a folder nor a manifest (.parquet, .csv, .tsv)")
    except (ValueError, OSError) as error:
        raise DataError(f"{path} cannot be read as a manifest: {' '.join(str(error).split())[:200]}") from error
    table.columns = [_column(str(c), [str(other) for other in table.columns]) for c in table.columns]
    expect_columns(table, str(path))
    return table


def _read_parquet(path: Path) -> pd.DataFrame:
    """A Parquet file; a large one part by part, because what Arrow needs to decode it may take as much as the table."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(path, pre_buffer=False) as file:
        if file.num_row_groups < 2:
            return pd.read_parquet(path)
        parts: list[pd.DataFrame] = []
        for i in range(file.num_row_groups):
            parts.append(file.read_row_group(i).to_pandas())
            pa.default_memory_pool().release_unused()
    whole: pd.DataFrame = pd.concat(parts, ignore_index=True)
    return whole


def expect_columns(table: pd.DataFrame, named: str) -> None:
    """Raise ``UsageError`` if a table lacks ``path`` or ``label``."""
    missing = [c for c in ("path", "label") if c not in table.columns]
    if missing:
        raise UsageError(f"{named} lacks the column {missing[0]!r}; it has: {', '.join(map(str, table.columns))}")


def _separator(path: Path) -> str:
    """The separator: a semicolon if the header has one and no comma, as some spreadsheets write; else a comma."""
    with path.open(encoding="utf-8-sig", errors="replace") as stream:
        header = stream.readline()
    return ";" if ";" in header and "," not in header else ","


def _column(name: str, all_names: Sequence[str]) -> str:
    """A column's name; ``path``, ``label``, ``split`` and ``group`` are recognised in any case, with spaces around."""
    plain = name.strip().lower()
    return plain if plain in ("path", "label", "split", "group") and plain not in all_names else name
