"""``facevalue compare``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rich.table import Table
from typer import Argument

from facevalue.cli.common.output import Json, deliver, png_option, table
from facevalue.cli.common.reporters import duration
from facevalue.support.formats import interval, percent

if TYPE_CHECKING:
    from facevalue.evaluation.comparison import ComparedModel

EXAMPLE = "facevalue compare model-a model-b --plot curves.png"


def run(
    models: Annotated[list[Path], Argument(metavar="MODEL...", help="Model folders.")],
    plot: Annotated[Path | None, png_option("--plot", text="Draw the training curves to a PNG.")] = None,
    json: Json = None,
) -> None:
    """Compare models: accuracy on every split, generalisation gap, size, speed, calibration, robustness."""
    from facevalue.api.compare import compare

    found = compare(models, plot=plot)
    figures = [row.to_dict() for row in found.models]
    deliver(figures, json, *side_by_side(found.models), *(warning.line for warning in found.warnings))


def side_by_side(rows: Sequence[ComparedModel]) -> tuple[Table, Table]:
    """Two tables: accuracy and cost, then robustness."""
    accuracies = ("train", "validation", "test", "95 %", "test n", "gap")
    columns = ("model", "network", *accuracies, "parameters", "time per epoch", "ece")
    cells = [
        (
            row.model,
            row.network,
            percent(row.train_accuracy),
            percent(row.validation_accuracy),
            percent(row.test_accuracy),
            interval(row.test_accuracy_ci),
            row.test_n,
            percent(row.gap),
            f"{row.parameters:,}",
            "-" if row.seconds_per_epoch is None else duration(row.seconds_per_epoch),
            row.ece,
        )
        for row in rows
    ]
    eps = list(rows[0].robust_accuracy)
    robustness = (
        *("model", "clean", *(f"robust {e}" for e in eps)),
        *("corrupted", "certified radius", "ece", "time per image"),
    )
    figures = [
        (
            row.model,
            percent(row.test_accuracy),
            *(percent(row.robust_accuracy[e]) for e in eps),
            percent(row.corruption_accuracy),
            "-" if row.certified_radius is None else f"{row.certified_radius:.3f}",
            row.ece,
            "-" if row.milliseconds is None else f"{row.milliseconds:.1f} ms",
        )
        for row in rows
    ]
    return table("", columns, cells), table("", robustness, figures)
