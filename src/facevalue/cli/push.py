"""``facevalue push``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from facevalue.cli.common.output import Json, deliver

EXAMPLE = "facevalue push model anna/faces"


def run(
    model: Annotated[Path, Argument(metavar="MODEL", help="A model folder.")],
    repository: Annotated[str, Argument(metavar="USER/NAME", help="Where on the Hugging Face Hub.")],
    private: Annotated[bool, Option(help="Make a new repository visible to you alone.")] = True,
    message: Annotated[str, Option(metavar="TEXT", help="Of the commit.")] = "Publish the model",
    json: Json = None,
) -> None:
    """Publish a model on the Hugging Face Hub; names of files and people stay here."""
    from facevalue.api.push import push

    done = push(model, repository, private=private, message=message)
    deliver(
        done.to_dict(),
        json,
        f"hub:{done.repository} at {done.commit[:12]}: {', '.join(done.files)}",
        f"timm and transformers cannot open it: {done.foreign}"
        if done.foreign
        else "timm and transformers can open it",
    )
