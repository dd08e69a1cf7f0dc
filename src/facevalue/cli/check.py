"""``facevalue check``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Argument, Option

from facevalue.cli.common.output import Json, deliver
from facevalue.cli.common.shell import FAILED, say_error

EXAMPLE = "facevalue check model --policy policy.toml"


def run(
    model: Annotated[Path, Argument(metavar="MODEL", help="A model folder.")],
    policy: Annotated[
        Path, Option(metavar="FILE", help="TOML: \\[require] accuracy_lower = 0.98, ece_upper = 0.05, ...")
    ],
    json: Json = None,
) -> None:
    """Check whether a model meets the requirements of a policy; if not, the exit code is 1."""
    from facevalue.api.check import check

    result = check(model, policy)
    lines = [f"not met: {_requirement(one.to_dict())}" for one in result.failed]
    deliver(result.to_dict(), json, *(lines or ["every requirement is met"]))
    if not result.passed:
        say_error(f"{len(lines)} requirement{'s are' if len(lines) > 1 else ' is'} not met")
        raise typer.Exit(FAILED)


def _requirement(item: dict[str, Any]) -> str:
    got = "nothing" if item["got"] is None else f"{item['got']:.4f}"
    return f"{item['figure']} {item['direction']} {item['required']}, got {got}" + (
        f" ({item['reason']})" if item.get("reason") else ""
    )
