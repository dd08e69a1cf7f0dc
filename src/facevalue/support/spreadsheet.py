"""Write CSV files that spreadsheets open as they are meant: no cell is taken for a formula, all letters are right."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, SupportsFloat

# A spreadsheet takes a cell that starts with one of these for a formula, which could run a command; the second row are
# the wide forms, which some take for the same (OWASP, CSV injection).
_FORMULA = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")


class Digits(float):
    """A number that is written with four digits after the point."""

    def __str__(self) -> str:
        return f"{float(self):.4f}"


def digits(value: SupportsFloat | None) -> Digits | None:
    """``value`` with four digits; ``None`` stays an empty cell."""
    return None if value is None else Digits(value)


def cell(value: Any) -> Any:
    """A value as a cell. Text that a spreadsheet would take for a formula gets a ``'`` in front.

    >>> cell("=1+1"), cell("-dash.jpg"), cell("cat.jpg"), cell(-0.5)
    ("'=1+1", "'-dash.jpg", 'cat.jpg', -0.5)
    """
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


@contextmanager
def writing(path: Path, columns: Sequence[str]) -> Iterator[Callable[[Mapping[str, Any]], object]]:
    """Yield a function that writes one row.

    UTF-8 with a byte order mark, without which Excel reads other letters. All text is in quotes, because Excel splits
    at semicolons in some countries.
    """
    with path.open("w", encoding="utf-8-sig", newline="") as stream:
        rows = csv.writer(stream, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
        rows.writerow([cell(column) for column in columns])
        yield lambda row: rows.writerow([cell(row[column]) for column in columns])
