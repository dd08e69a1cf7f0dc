"""``facevalue pull``."""

from __future__ import annotations

from typing import Annotated

from typer import Argument

from facevalue.cli.common.options import Model, Overwrite
from facevalue.cli.common.output import Json, argument, deliver

EXAMPLE = "facevalue pull hub:anna/faces -o model"


def run(
    source: Annotated[str, Argument(metavar="hub:USER/NAME", help="The model; @REVISION for a branch, tag or commit.")],
    output: Model,
    overwrite: Overwrite = False,
    json: Json = None,
) -> None:
    """Download a model from the Hugging Face Hub, and check every file against its card."""
    from facevalue.api.pull import pull

    done = pull(source, output, overwrite=overwrite)
    deliver(
        done.to_dict(),
        json,
        f"{done.path}: {len(done.files)} files as on the card; next: facevalue predict {argument(done.path)} IMAGE…",
    )
