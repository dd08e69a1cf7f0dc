"""``facevalue data get``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from facevalue.cli.common.output import Json, deliver, table

EXAMPLE = "facevalue data get horses-or-humans -o horses-or-humans"


def run(
    name: Annotated[str | None, Argument(metavar="[NAME]", help="A known set; without one, all are listed.")] = None,
    output: Annotated[
        Path | None, Option("--output", "-o", metavar="DIR", help="The folder to make; its name by default.")
    ] = None,
    source: Annotated[
        str, Option("--from", metavar="PLACE", help="A mirror's address, or a folder that holds the archives.")
    ] = "",
    overwrite: Annotated[bool, Option("--overwrite", help="Fetch anew where it is there.")] = False,
    json: Json = None,
) -> None:
    """Fetch a known public set of images: checked, resumed where it was cut, ready to train on."""
    from facevalue.api.data.get import get_data
    from facevalue.data.known import KNOWN

    if name is None:
        sizes = {k.name: sum(a.bytes or 0 for a in k.archives) for k in KNOWN.values()}
        rows = [
            (k.name, f"{k.images:,}", f"{sizes[k.name] / 1e6:.0f} MB" if sizes[k.name] else None, k.licence, k.title)
            for k in KNOWN.values()
        ]
        figures = [{"name": k.name, "title": k.title, "licence": k.licence, "home": k.home} for k in KNOWN.values()]
        deliver(figures, json, table("", ("name", "images", "size", "licence", "what"), rows))
        return
    done = get_data(name, output, source=source, overwrite=overwrite)
    receipt = done.receipt
    deliver(
        done.to_dict(),
        json,
        f"licence: {receipt['licence']}; see {receipt['home']}",
        f"{done.folder}: {receipt['n']:,} images" + (", there already" if done.was_there else ""),
    )
