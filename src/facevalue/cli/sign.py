"""``facevalue sign``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from facevalue.cli.common.output import Json, argument, deliver, file_option

EXAMPLE = "facevalue sign model --key key.pem"

PASSWORD = "FACEVALUE_KEY_PASSWORD"
"""Environment variable with the key's password: on the command line other users of the machine could read it."""


def run(
    model: Annotated[Path, Argument(metavar="MODEL", help="A model folder.")],
    key: Annotated[
        Path, Option(metavar="FILE", help=f"Private key (PEM; P-256, P-384 or P-521). Its password: ${PASSWORD}.")
    ],
    output: Annotated[
        Path | None, file_option("--output", "-o", text="The signature; by default model.sig in the folder.")
    ] = None,
    json: Json = None,
) -> None:
    """Sign a model folder and its evaluations, in the OpenSSF model signing format."""
    from facevalue.api.sign import sign

    written = sign(model, key, output=output, password=os.environ.get(PASSWORD))
    hint = f"verify with: facevalue verify {argument(model)} --key PUBLIC_KEY"
    deliver({"signature": written}, json, str(written), hint)
