"""``facevalue data scan``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument

from facevalue.cli.output import Json, deliver, table

EXAMPLE = "facevalue data scan pictures --json findings.json"


def run(
    data: Annotated[
        Path, Argument(metavar="DATA", help="A folder a class, a folder with train/ and test/, or a manifest.")
    ],
    json: Json = None,
) -> None:
    """Read every picture and say what is wrong: unreadable, the same twice, odd, or told apart by its file alone."""
    from facevalue import workshop

    found = workshop.scan_data(data)
    deliver(
        found,
        json,
        table("", ("split", "class", "n"), [(s, c, n) for s, by in found["counts"].items() for c, n in by.items()]),
        *(f"unreadable: {bad['path']} {bad['reason']}" for bad in found["unreadable"]),
    )
