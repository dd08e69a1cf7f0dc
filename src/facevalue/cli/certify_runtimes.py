"""``facevalue certify-runtimes``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rich.table import Table
from typer import Argument, Exit, Option

from facevalue.cli.common.output import Json, deliver, table
from facevalue.cli.common.parsing import words
from facevalue.cli.common.shell import FAILED
from facevalue.support.formats import percent

if TYPE_CHECKING:
    from facevalue.evidence.records import RuntimeReport

EXAMPLE = "facevalue certify-runtimes model --json runtimes.json"


def run(
    model: Annotated[Path, Argument(metavar="MODEL", help="A model folder.")],
    data: Annotated[
        Path | None, Argument(metavar="[DATA]", help="Images with labels; by default the model's test images.")
    ] = None,
    targets: Annotated[str | None, Option(metavar="NAME,...", help="Only these targets.")] = None,
    calibration: Annotated[
        Path | None,
        Option(metavar="DIR", help="Images for the ranges of int8; by default the model's calibration split."),
    ] = None,
    limit: Annotated[int, Option(min=1, metavar="N", help="Most labelled images.")] = 1000,
    save: Annotated[bool, Option(help="Write the figures to the model's card.")] = True,
    json: Json = None,
) -> None:
    """Compare every runtime that is installed with the model, from file bytes to label; 1 if one answers otherwise."""
    from facevalue.api.certify_runtimes import certify_runtimes

    names = None if targets is None else words(targets, "--targets")
    report = certify_runtimes(model, data, targets=names, calibration=calibration, limit=limit, save=save)
    deliver(
        report.to_dict(),
        json,
        runtime_table(report),
        *(f"not measured: {what}: {reason}" for what, reason in report.left_out.items()),
        *(warning.line for warning in report.warnings),
    )
    if not report.passed:
        raise Exit(FAILED)


def runtime_table(report: RuntimeReport) -> Table:
    """One row per runtime."""
    columns = (
        "runtime",
        "precision",
        "MB",
        "read otherwise",
        "same label",
        "answers changed",
        "probability off by",
        "accuracy",
    )
    rows = [
        (
            one.target,
            one.precision,
            f"{one.bytes / 1e6:.1f}",
            one.pixel_differences,
            percent(one.label_agreement),
            one.answers_changed,
            f"{one.max_probability_difference:.1e}",
            percent(one.runtime_accuracy),
        )
        for one in report.runtimes
    ]
    drawn = report.runtimes[0].drawn if report.runtimes else 0
    return table(f"{report.n} labelled images and {drawn} drawn files", columns, rows)
