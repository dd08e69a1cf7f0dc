"""Print results: tables on standard output, or JSON."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from facevalue.cli.common import flags, legend
from facevalue.errors import UsageError
from facevalue.support import files

JSON_ON_STDOUT = Path("-")


def _writable(target: Path | None) -> Path | None:
    # Checked before the work, which may take hours, not after it.
    if target is None or target == JSON_ON_STDOUT:
        return target
    if target.is_dir():
        raise typer.BadParameter(f"{target} is a folder")
    try:
        files.check_writable(target)
    except UsageError as error:
        raise typer.BadParameter(str(error)) from error
    return target


def argument(path: Path | str) -> str:
    """A path to copy after a command: quoted, and never taken for an option.

    >>> argument("-dash"), argument("my model")
    ('./-dash', "'my model'")
    """
    text = str(path)
    return shlex.quote(f"./{text}" if text.startswith("-") else text)


def file_option(*flags: str, text: str) -> Any:
    """An option for a file to write; the path is checked before the work begins."""
    return typer.Option(*flags, metavar="FILE", callback=_writable, help=text)


def _png(target: Path | None) -> Path | None:
    if target is not None and target.suffix.lower() not in ("", ".png"):
        raise typer.BadParameter(f"{target} is not the name of a PNG; use the suffix .png")
    return _writable(target)


def png_option(*flags: str, text: str) -> Any:
    """An option for a PNG to write; another suffix is an error."""
    return typer.Option(*flags, metavar="FILE", callback=_png, help=text)


Json = Annotated[Path | None, file_option("--json", text="Write the figures as JSON; - is standard output.")]


def deliver(figures: Any, json_file: Path | None, *tables: Table | str) -> None:
    """Write ``figures`` to the file of ``--json``, and print ``tables`` unless the JSON goes to standard output."""
    if json_file == JSON_ON_STDOUT:
        typer.echo(as_json(figures))
        return
    if json_file is not None:
        files.write_text(json_file, as_json(figures) + "\n")
    console = Console()
    if not console.is_terminal:
        console.width = 200  # a pipe has no width, so do not wrap lines
    for part in tables:
        if isinstance(part, str):
            console.print(flags.translated(part), markup=False, highlight=False, soft_wrap=True)
        else:
            console.print(part)
    if legend.is_asked():
        explained = legend.rows_of([part for part in tables if isinstance(part, Table)])
        console.print(table("what the figures mean", ("figure", "meaning"), explained))


def printable(text: str) -> str:
    r"""``text`` on one line; control characters, which a file name may hold, are escaped.

    >>> printable("new\nline\x1b[31m.png")
    'new\\nline\\x1b[31m.png'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def as_json(value: Any) -> str:
    """Indented JSON; NaN and infinity become null."""
    return json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False)


def plain(value: Any) -> Any:
    """Nested records as plain JSON values.

    >>> plain({"auroc": float("nan"), "at": Path("a/b"), "ci": (0.5, 1.0)})
    {'auroc': None, 'at': 'a/b', 'ci': [0.5, 1.0]}
    """
    match value:
        case Mapping():
            return {str(key): plain(item) for key, item in value.items()}
        case str():
            return files.as_text(value)
        case bool() | None:
            return value
        case Integral():  # NumPy's too
            return int(value)
        case Real():
            return float(value) if math.isfinite(value) else None
        case Path():
            return str(value)
        case Iterable():
            return [plain(item) for item in value]
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """A plain table; columns of numbers are aligned to the right."""
    cells = [[_cell(cell) for cell in row] for row in rows]
    made = Table(
        title=Text(title) if title else None, title_justify="left", box=None, pad_edge=False, header_style="bold"
    )
    for i, name in enumerate(columns):
        numeric = bool(cells) and all(row[i][:1].isdigit() or row[i] in ("", "-") for row in cells)
        made.add_column(Text(name), justify="right" if numeric else "left", overflow="fold")
    for row in cells:
        made.add_row(*(Text(cell) for cell in row))  # as Text, because a file name may look like markup
    return made


def _cell(value: object) -> str:
    match value:
        case None:
            return "-"
        case float():
            return f"{value:.4f}" if math.isfinite(value) else "-"
    return str(value)
