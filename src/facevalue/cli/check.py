"""``facevalue check``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option

from facevalue.cli.common.output import Json, deliver
from facevalue.cli.common.shell import FAILED, say_error

if TYPE_CHECKING:
    from facevalue.evidence.policy import PolicyResult

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
    lines = requirement_lines(result)
    when = (
        f"the policy was registered at {result.registered}, before the test figures were computed"
        if result.registered
        else "the policy was not registered before the test figures were computed (train --policy)"
    )
    deliver(result.to_dict(), json, *lines, when)
    end_unless_met(result)


def requirement_lines(result: PolicyResult) -> list[str]:
    """A line for each requirement that is not met, or one that all are."""
    lines = [f"not met: {_requirement(one.to_dict())}" for one in result.failed]
    return lines or ["every requirement is met"]


def end_unless_met(result: PolicyResult) -> None:
    """End the command with exit code 1 if a requirement is not met."""
    if not result.passed:
        n = len(result.failed)
        say_error(f"{n} requirement{'s are' if n > 1 else ' is'} not met")
        raise typer.Exit(FAILED)


def _requirement(item: dict[str, Any]) -> str:
    got = "nothing" if item["got"] is None else f"{item['got']:.4f}"
    return f"{item['figure']} {item['direction']} {item['required']}, got {got}" + (
        f" ({item['reason']})" if item.get("reason") else ""
    )
