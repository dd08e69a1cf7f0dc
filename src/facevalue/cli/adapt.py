"""``facevalue adapt``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from facevalue.cli.common.options import Model, Overwrite
from facevalue.cli.common.output import Json, deliver, table
from facevalue.errors import UsageError
from facevalue.support.formats import interval, percent

EXAMPLE = "facevalue adapt model --add real/camera-x=photographs -o model-2"


def run(
    model: Annotated[Path, Argument(metavar="MODEL", help="A model folder with known sources; it is not changed.")],
    output: Model,
    add: Annotated[
        list[str],
        Option(metavar="CLASS/SOURCE=FOLDER", help="Images of a new source, 10 to 50 of them; may be repeated."),
    ],
    overwrite: Overwrite = False,
    json: Json = None,
) -> None:
    """Teach a model new sources from a few images of each, without its training images."""
    folders = _folders(add)

    from facevalue.api.adapt import adapt

    result = adapt(model, folders, output, overwrite=overwrite)
    report = result.report
    rows = [
        (
            f"{one.label}/{one.source}",
            one.n,
            percent(one.before),
            percent(one.after),
            interval(one.after_ci),
            percent(one.known_before),
            percent(one.known),
        )
        for one in report.sources
    ]
    heads = ("new source", "n", "right before", "right after", "95 %", "known before", "known after")
    old = [
        f"old test (n = {one.n}): {percent(one.before)} before, {percent(one.after)} after" for one in report.changes
    ]
    deliver(
        result.to_dict(),
        json,
        table("", heads, rows),
        "right after and known after are cross-validated",
        *old,
        *(warning.line for warning in report.warnings),
        f"{output}: the model folder; {model} is unchanged",
    )


def _folders(given: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in given:
        name, equals, folder = one.partition("=")
        if not equals or not folder:
            raise UsageError(f"Expected --add as CLASS/SOURCE=FOLDER, but got {one!r}")
        if name in found:
            raise UsageError(f"--add names {name} twice")
        found[name] = folder
    return found
