"""``facevalue predict``: the runtime alone, no torch."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument

from facevalue.cli.common.output import JSON_ON_STDOUT, Json, deliver, file_option, table
from facevalue.cli.common.shell import FAILED, say_error
from facevalue.errors import UsageError
from facevalue.support import progress
from facevalue.support.formats import percent

if TYPE_CHECKING:
    from facevalue.runtime import Predictor
    from facevalue.types import Prediction

EXAMPLE = "facevalue predict model photo.jpg folder-of-images --csv answers.csv"


def run(
    model: Annotated[Path, Argument(metavar="MODEL", help="A model folder.")],
    paths: Annotated[
        list[str],
        Argument(metavar="PATH...", help="Images, folders of them, or - for one image on standard input."),
    ],
    csv: Annotated[Path | None, file_option("--csv", text="Write the answers as CSV.")] = None,
    parquet: Annotated[Path | None, file_option("--parquet", text="Write the answers as Parquet.")] = None,
    json: Json = None,
) -> None:
    """Say what images show, with calibrated probabilities.

    On a terminal: a table. Elsewhere: one line per image with tabs between path, label (- where the model abstains),
    probability and why not. The exit code is 1 only if none could be read.
    """
    if paths.count("-") > 1:
        raise UsageError("- stands for one image on standard input, and is given twice")
    from facevalue.runtime import open_folder

    predictor = open_folder(model)
    people = sys.stdout.isatty()
    shown: list[Prediction] = []  # only where the whole is printed at the end: millions of lines need no memory
    keep = people or json is not None
    n = failed = 0
    with ExitStack() as stack:
        writers = _writers(predictor, csv, parquet, stack)
        for prediction in progress.track(_predictions(predictor, paths), "predicting"):
            n += 1
            failed += prediction.error is not None
            for write in writers:
                write(prediction)
            if keep:
                shown.append(prediction)
            if not people and json != JSON_ON_STDOUT:
                typer.echo(_line(prediction))
    if not n:
        raise UsageError(f"there is no image in {', '.join(paths)}")
    if json is not None or people:
        columns = ("path", "label", "probability", "why not")
        rows = [_columns(prediction, percent) for prediction in shown]
        deliver([prediction.to_dict() for prediction in shown], json, *([table("", columns, rows)] if people else []))
    if failed == n:
        say_error(f"none of the {n} files could be read" if n > 1 else f"{prediction.path} {prediction.error}")
        raise typer.Exit(FAILED)


def _predictions(predictor: Predictor, paths: Sequence[str]) -> Iterator[Prediction]:
    # The runtime reads ahead and gathers batches, so the paths between two `-` go to it together.
    for standard_input, some in groupby(paths, key="-".__eq__):
        if standard_input:
            yield predictor.predict_bytes(sys.stdin.buffer.read(), "-")
        else:
            yield from predictor.stream(some)


def _columns(prediction: Prediction, probability: Callable[[float | None], str]) -> tuple[str, str, str, str]:
    label = prediction.label if prediction.label is not None else "-"
    return (
        prediction.path or "-",
        label,
        probability(prediction.confidence),
        prediction.error or " ".join(prediction.reasons),
    )


def _line(prediction: Prediction) -> str:
    cells = _columns(prediction, lambda p: "-" if p is None else f"{p:.6f}")
    # One line an image whatever its name: a tab or a line break in a name would add columns or rows.
    return "\t".join(" ".join(cell.split()) if not cell.isprintable() else cell for cell in cells)


def _writers(
    predictor: Predictor, csv: Path | None, parquet: Path | None, stack: ExitStack
) -> list[Callable[[Prediction], None]]:
    from facevalue.runtime.bulk import writing_csv, writing_parquet

    classes = predictor.card.classes
    wanted = [(csv, writing_csv), (parquet, writing_parquet)]
    return [stack.enter_context(writing(path, classes)) for path, writing in wanted if path is not None]
