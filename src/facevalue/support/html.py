"""Results as HTML tables for notebooks."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from html import escape
from itertools import islice
from typing import Any

from facevalue.support.formats import eps_text

MOST_IN_CELL = 12
"""Most values of a list or mapping in one cell."""

MOST_ROWS = 50
"""Most rows of a table in a notebook; ``to_frame`` and ``to_dict`` have all rows."""


class ShownInNotebooks:
    """A result with ``to_dict`` that a notebook shows as tables."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""

    def _repr_html_(self) -> str:
        return html_of(type(self).__name__, self.to_dict())


def html_of(title: str, plain: Mapping[str, Any]) -> str:
    """One table for all single values, and one table for each list of rows.

    >>> "<td>0.975</td>" in html_of("Evaluation", {"accuracy": 0.975, "warnings": []})
    True
    """
    single = {key: value for key, value in plain.items() if not _is_table(value) and value not in (None, [], {}, "")}
    tables = {key: value for key, value in plain.items() if _is_table(value)}
    parts = [f"<h4>{escape(title)}</h4>", _table(("", ""), list(single.items()))]
    for key, rows in tables.items():
        columns = list(dict.fromkeys(column for row in rows for column in row))
        cells = [[_in_row(row, column) for column in columns] for row in rows[:MOST_ROWS]]
        more = f"<p>… and {len(rows) - MOST_ROWS} more rows</p>" if len(rows) > MOST_ROWS else ""
        parts.append(f"<h5>{escape(key)}</h5>{_table(columns, cells)}{more}")
    return "<div>" + "".join(parts) + "</div>"


def _in_row(row: Mapping[str, Any], column: str) -> object:
    value = row.get(column)
    if column == "eps" and isinstance(value, float):
        return eps_text(value, str(row.get("norm", "linf")))
    return value


def _is_table(value: object) -> bool:
    return isinstance(value, list | tuple) and len(value) > 0 and all(isinstance(row, Mapping) for row in value)


def _table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    head = "".join(f"<th>{escape(str(column))}</th>" for column in columns) if any(columns) else ""
    body = "".join("<tr>" + "".join(f"<td>{escape(_text(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table>{f'<thead><tr>{head}</tr></thead>' if head else ''}<tbody>{body}</tbody></table>"


def _text(value: object) -> str:
    match value:
        case float():
            return f"{value:.4g}"
        case Mapping():
            return _first([f"{key}: {_text(one)}" for key, one in islice(value.items(), MOST_IN_CELL)], len(value))
        case list() | tuple():
            return _first([_text(one) for one in value[:MOST_IN_CELL]], len(value))
        case None:
            return ""
    return str(value)


def _first(shown: Sequence[str], n: int) -> str:
    return ", ".join([*shown, *([f"… and {n - len(shown)} more"] if n > len(shown) else [])])
