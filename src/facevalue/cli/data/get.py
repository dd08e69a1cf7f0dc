"""``facevalue data get``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from facevalue.cli.common.output import Json, deliver, table

EXAMPLE = "facevalue data get horses-or-humans -o horses-or-humans"


def run(
    name: Annotated[str | None, Argument(metavar="[NAME]", help="The dataset; without a name, all are listed.")] = None,
    output: Annotated[
        Path | None,
        Option("--output", "-o", metavar="DIR", help="The folder to write; by default NAME, for yunet the cache."),
    ] = None,
    source: Annotated[
        str, Option("--from", metavar="PLACE", help="Address of a mirror, or a folder with the archives.")
    ] = "",
    overwrite: Annotated[bool, Option("--overwrite", help="Download again and replace the folder.")] = False,
    json: Json = None,
) -> None:
    """Download a public dataset, verified and ready for training, or the face detector (yunet).

    An interrupted download resumes.
    """
    from facevalue.api.data.get import get_data
    from facevalue.data.fetch.known_files import FetchedFile
    from facevalue.data.known import FILES, KNOWN, KnownFile, KnownSet

    if name is None:
        sizes = {k.name: sum(a.bytes or 0 for a in k.archives) for k in KNOWN.values()}
        rows: list[tuple[object, ...]] = [
            (k.name, f"{k.images:,}", f"{sizes[k.name] / 1e6:.0f} MB" if sizes[k.name] else None, k.licence, k.title)
            for k in KNOWN.values()
        ]
        rows += [(f.name, None, f"{f.bytes / 1e6:.1f} MB", f.licence, f.title) for f in FILES.values()]
        everything: list[KnownSet | KnownFile] = [*KNOWN.values(), *FILES.values()]
        figures = [{"name": k.name, "title": k.title, "licence": k.licence, "home": k.home} for k in everything]
        deliver(figures, json, table("", ("name", "images", "size", "licence", "description"), rows))
        return
    done = get_data(name, output, source=source, overwrite=overwrite)
    if isinstance(done, FetchedFile):
        known, again = done.known, ", already downloaded" if done.was_there else ""
        deliver(done.to_dict(), json, f"licence: {known.licence}; see {known.home}", f"{done.path}{again}")
        return
    receipt = done.receipt
    deliver(
        done.to_dict(),
        json,
        f"licence: {receipt['licence']}; see {receipt['home']}",
        f"{done.folder}: {receipt['n']:,} images" + (", already downloaded" if done.was_there else ""),
    )
