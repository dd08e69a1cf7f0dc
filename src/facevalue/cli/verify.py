"""``facevalue verify``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from facevalue.cli.common.output import Json, deliver
from facevalue.cli.common.shell import FAILED, say_error

EXAMPLE = "facevalue verify model --key public.pem"

_MARKS = {True: "ok", False: "FAILED", None: "not checked"}


def run(
    model: Annotated[Path, Argument(metavar="MODEL", help="A model folder.")],
    data: Annotated[
        str | None, Argument(metavar="[DATA]", help="The model's data: the evaluations on the card are repeated.")
    ] = None,
    key: Annotated[Path | None, Option(metavar="FILE", help="The signer's public key (PEM).")] = None,
    signature: Annotated[
        Path | None, Option(metavar="FILE", help="The signature; by default model.sig in the folder.")
    ] = None,
    json: Json = None,
) -> None:
    """Check that a model folder is unchanged and predicts the same on this machine; if not, the exit code is 1."""
    from facevalue.api.verify import verify

    result = verify(model, data, key=key, signature=signature)
    lines = []
    for check in result.checks:
        lines.append(f"{_MARKS[check.passed]:<12}{check.name:<12}{check.text}")
        lines += [f"{'':<12}{problem}" for problem in check.problems]
    deliver(result.to_dict(), json, *lines)
    if not result.passed:
        say_error(f"{model} is not what it says: {', '.join(check.name for check in result.failed)}")
        raise typer.Exit(FAILED)
