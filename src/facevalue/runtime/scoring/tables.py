"""Manifests of images to score: CSV or Parquet tables with a column ``path``."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from facevalue.errors import MissingExtraError, UsageError
from facevalue.runtime.scoring import remote
from facevalue.runtime.scoring.items import Item

ENDINGS = (".csv", ".parquet")
COLUMN = "path"


def is_table(name: str) -> bool:
    """Whether a path or address ends as a manifest's.

    >>> is_table("images.csv"), is_table("images.tar")
    (True, False)
    """
    return name.lower().endswith(ENDINGS)


def items(name: str, opened: Callable[[], IO[bytes]], base: str) -> Iterator[Item]:
    """One image for each row; a row without a path is an error, so that no row is lost.

    Parameters
    ----------
    name : of the manifest.
    base : the folder or address that relative paths start from.

    Raises
    ------
    UsageError
        It cannot be read, or has no column ``path``, or a row has none.
    """
    paths = _of_parquet if name.lower().endswith(".parquet") else _of_csv
    try:
        with opened() as stream:
            for number, path in enumerate(paths(name, stream), start=1):
                if not path:
                    raise UsageError(f"row {number} of {name} has no {COLUMN}")
                yield _item(path, base)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{name} cannot be read: {getattr(error, 'strerror', None) or error}") from error


def _item(path: str, base: str) -> Item:
    if remote.is_address(path):
        return Item(path, path, partial(remote.read, path))
    if remote.is_address(base) and not Path(path).is_absolute():
        address = f"{base.rstrip('/')}/{PurePosixPath(path)}"
        return Item(address, path, partial(remote.read, address))
    return Item(str(Path(base) / path), path, partial(Path, Path(base).absolute(), path))


def _of_csv(name: str, stream: IO[bytes]) -> Iterator[str | None]:
    with io.TextIOWrapper(stream, encoding="utf-8-sig", newline="") as text:
        reader = csv.DictReader(text)
        if COLUMN not in (reader.fieldnames or ()):
            raise UsageError(f"{name} has no column {COLUMN}")
        for row in reader:
            yield row[COLUMN]


def _of_parquet(name: str, stream: IO[bytes]) -> Iterator[str | None]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtraError("pyarrow", "train") from error
    try:
        table = parquet.ParquetFile(stream)
    except pa.ArrowInvalid as error:
        raise UsageError(f"{name} is not a Parquet file") from error
    if COLUMN not in table.schema_arrow.names:
        raise UsageError(f"{name} has no column {COLUMN}")
    for batch in table.iter_batches(8192, columns=[COLUMN]):
        for value in batch.column(0).to_pylist():
            yield None if value is None else str(value)
