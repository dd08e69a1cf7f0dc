"""``facevalue evaluate``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rich.table import Table
from typer import Argument, Option

from facevalue.cli.output import Json, deliver, interval, percent, table
from facevalue.cli.shell import command_line

if TYPE_CHECKING:
    from facevalue.card import Report

EXAMPLE = "facevalue evaluate model other-pictures --json figures.json"


def run(
    model: Annotated[Path, Argument(metavar="MODEL", help="A model folder.")],
    data: Annotated[
        Path, Argument(metavar="DATA", help="Pictures with labels: a folder a class, splits, or a manifest.")
    ],
    split: Annotated[str | None, Option(metavar="NAME", help="Only this split of the data.")] = None,
    save: Annotated[bool, Option(help="Add the figures to the model's card.")] = True,
    json: Json = None,
) -> None:
    """Measure a model on pictures with known labels, with 95 % intervals."""
    from facevalue import workshop

    report = workshop.evaluate(model, data, split=split, save=save, command=command_line())
    deliver(
        report.as_dict(),
        json,
        evaluation_table([report]),
        confusion_table(report.classes, report.confusion),
        *(f"warning: {text}" for text in report.warnings),
        *(f"left out: {bad['path']} {bad['reason']}" for bad in report.unreadable),
    )


def evaluation_table(reports: Sequence[Report]) -> Table:
    """One row a split, the figures that matter first."""
    columns = ("split", "n", "accuracy", "95 %", "balanced", "auroc", "ece", "brier", "answered", "right of those")
    rows = [
        (
            r.split,
            r.n,
            percent(r.accuracy),
            interval(r.accuracy_ci),
            percent(r.balanced_accuracy),
            r.auroc,
            r.ece,
            r.brier,
            percent(r.coverage),
            percent(r.accuracy_answered),
        )
        for r in reports
    ]
    return table("", columns, rows)


def confusion_table(classes: Sequence[str], counts: Sequence[Sequence[int]], title: str = "") -> Table:
    """Rows are the truth, columns the decision."""
    rows = [(truth, *row) for truth, row in zip(classes, counts, strict=True)]
    return table(title, ("truth / decided", *classes), rows)
