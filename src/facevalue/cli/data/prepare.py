"""``facevalue data prepare``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from typer import Argument, Option

from facevalue.cli.common.counts import counts_table
from facevalue.cli.common.options import Groups
from facevalue.cli.common.output import Json, argument, deliver, printable
from facevalue.cli.common.shell import Seed

Fit = Literal["squash", "crop", "pad"]
Format = Literal["png", "jpeg"]
Leaks = Literal["warn", "drop", "error"]

EXAMPLE = "facevalue data prepare raw -o images --size 256"


def run(
    data: Annotated[
        Path, Argument(metavar="DIR", help="One folder per class, a folder with train/ and test/, or a manifest.")
    ],
    output: Annotated[Path, Option("--output", "-o", metavar="OUT", help="The folder to write.")],
    size: Annotated[int, Option(min=8, metavar="PIXELS", help="Side of every image.")] = 256,
    fit: Annotated[
        Fit, Option(metavar="NAME", help="crop, squash or pad; only crop hides the original shape.")
    ] = "crop",
    format: Annotated[Format, Option(metavar="NAME", help="png or jpeg.")] = "png",  # noqa: A002 - the option's name
    quality: Annotated[int, Option(min=1, max=95, metavar="Q", help="Quality of JPEG.")] = 90,
    groups: Groups = None,
    near: Annotated[
        int,
        Option(
            min=-1, max=256, metavar="BITS", help="Near-duplicates differ in at most this many of 256 bits; -1: none."
        ),
    ] = 32,
    leaks: Annotated[
        Leaks,
        Option(
            metavar="WHAT", help="For leaks across the splits of DIR: warn, drop (from the earlier split) or error."
        ),
    ] = "warn",
    like: Annotated[
        Path | None,
        Option(metavar="MANIFEST", help="An earlier prepared or model folder: its images stay in their splits."),
    ] = None,
    overwrite: Annotated[bool, Option("--overwrite", help="Replace an existing prepared folder.")] = False,
    seed: Seed = 0,
    json: Json = None,
) -> None:
    """Split images without leaks and encode all files in the same way, so that files do not reveal their class."""
    from facevalue.api.data.prepare import prepare_data

    done = prepare_data(
        data,
        output,
        size=size,
        fit=fit,
        format=format,
        quality=quality,
        groups=groups,
        near=near if near >= 0 else None,
        leaks=leaks,
        like=like,
        overwrite=overwrite,
        seed=seed,
    )
    left = len(done.left_out)
    deliver(
        done.to_dict(),
        json,
        counts_table(done.manifest.counts(), done.to_dict()["groups"]["splits"]),
        *(printable(w.line) for w in done.manifest.warnings),
        *([f"left out: {left} files; see {done.folder / 'left-out.csv'}"] if left else []),
        f"{done.folder}: ready; next: facevalue train {argument(done.folder)} -o model",
    )
