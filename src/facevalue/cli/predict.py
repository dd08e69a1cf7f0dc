"""``facevalue predict``: uses only the runtime, without torch."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, nullcontext
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from typer import Argument, Option

from facevalue.cli.common.options import Gate, GateModel, Stable, TrustList
from facevalue.cli.common.output import JSON_ON_STDOUT, Json, deliver, file_option, table
from facevalue.cli.common.scoring import (
    Engine,
    PartImages,
    Parts,
    Precision,
    ShardOf,
    check_file,
    into_folder,
)
from facevalue.cli.common.shell import FAILED, say_error
from facevalue.errors import UsageError
from facevalue.support import progress
from facevalue.support.formats import percent

if TYPE_CHECKING:
    from facevalue.faces.gate import WhichFaces
    from facevalue.marks import MarkReader
    from facevalue.runtime import Predictor
    from facevalue.types import Prediction

EXAMPLE = "facevalue predict model photo.jpg folder-of-images --csv answers.csv"


def run(
    model: Annotated[Path, Argument(metavar="MODEL", help="A model folder.")],
    paths: Annotated[
        list[str],
        Argument(
            metavar="PATH...",
            help="Images, folders of them, or - for one image on standard input. With a folder for --parquet also"
            " manifests, tar archives and addresses.",
        ),
    ],
    csv: Annotated[Path | None, file_option("--csv", text="Write the predictions as CSV.")] = None,
    parquet: Annotated[
        Path | None,
        Option(
            "--parquet",
            metavar="OUT",
            help="Write the predictions as Parquet: one file if the name ends in .parquet, else a folder of parts for"
            " any number of images, which a stopped run goes on from.",
        ),
    ] = None,
    gate: Gate = None,
    gate_model: GateModel = None,
    faces: Annotated[
        Literal["largest", "all"], Option(help="A model of faces: judge the largest face, or each in a row of its own.")
    ] = "largest",
    stable: Stable = None,
    engine: Engine = None,
    precision: Precision = None,
    shard: ShardOf = None,
    part_images: PartImages = None,
    marks: Annotated[
        bool, Option("--marks", help="Also show what each file says of its own origin: signed or unsigned marks.")
    ] = False,
    trust_list: TrustList = None,
    json: Json = None,
) -> None:
    """Predict the class of images, with calibrated probabilities.

    A terminal shows a table. Otherwise each image, or each face, is one line: path, label (- if the model abstains),
    probability, and reason for abstaining or error, separated by tabs; with --marks, then its marks of origin. The exit
    code is 1 only if no image can be read.
    """
    if paths.count("-") > 1:
        raise UsageError("- means one image on standard input; give it only once")
    parts = Parts(engine, precision, shard, part_images)
    if parquet is not None and parquet.suffix != ".parquet":
        opening = {"faces": faces, "gate": gate, "gate_model": gate_model, "stable": stable}
        if marks or trust_list is not None:
            raise UsageError("`marks` are written to CSV, JSON and one Parquet file, not to a folder of parts")
        into_folder(model, paths, parquet, parts, csv, json, opening)
        return
    parts.refuse(paths)
    if parquet is not None:
        check_file(parquet)
    from facevalue.evidence.findings import say
    from facevalue.marks import MarkReader
    from facevalue.marks.record import PROVES_NOTHING
    from facevalue.runtime import open_folder
    from facevalue.runtime.image_files import count
    from facevalue.runtime.unchecked_marks import UncheckedMarks

    predictor = open_folder(model, gate=gate, gate_model=gate_model, stable=stable)
    terminal = sys.stdout.isatty()
    collected: list[Prediction] = []  # only for a table or JSON; plain lines of millions of images need no memory
    keep = terminal or json is not None
    n = failed = abstained = 0
    marked = marks or trust_list is not None
    unchecked = UncheckedMarks()
    with ExitStack() as stack:
        reader = stack.enter_context(MarkReader(trust_list) if marked else nullcontext())
        writers = _writers(predictor, csv, parquet, marked, stack)
        total, skipped = count(map(Path, paths))
        for prediction in progress.track(_predictions(predictor, paths, faces, reader), "predicting", total=total):
            n += 1
            failed += prediction.error is not None
            abstained += prediction.abstained
            unchecked.add(prediction)
            for write in writers:
                write(prediction)
            if keep:
                collected.append(prediction)
            if not terminal and json != JSON_ON_STDOUT:
                typer.echo(_line(prediction, marked))
    if not n:
        raise UsageError(f"there is no image in {', '.join(paths)}")
    if json is not None or terminal:
        columns = ("path", "label", "probability", "reason or error", *(["marks of origin"] if marked else []))
        rows = [_columns(prediction, percent, marked) for prediction in collected]
        figures = [prediction.to_dict() for prediction in collected]
        deliver(figures, json, *([table("", columns, rows)] if terminal else []))
    say(unchecked.findings)
    if marked:
        progress.note(PROVES_NOTHING)
    if n > 1 and failed < n:
        progress.note(_summary(n, failed, abstained, skipped))
    if failed == n:
        say_error(f"none of the {n} files could be read" if n > 1 else f"{prediction.path} {prediction.error}")
        raise typer.Exit(FAILED)


def _summary(n: int, failed: int, abstained: int, skipped: int) -> str:
    """What became of the files, in one line.

    >>> _summary(12, 1, 2, 3)
    '12 images: 9 answered, 2 abstained, 1 cannot be read; 3 other files skipped'
    """
    text = f"{n:,} images: {n - failed - abstained:,} answered, {abstained:,} abstained, {failed:,} cannot be read"
    return text + (f"; {skipped:,} other files skipped" if skipped else "")


def _predictions(
    predictor: Predictor, paths: Sequence[str], faces: WhichFaces, marks: MarkReader | None
) -> Iterator[Prediction]:
    # The runtime reads ahead and forms batches, so all paths before or after `-` go to it together.
    for standard_input, some in groupby(paths, key="-".__eq__):
        if standard_input:
            yield from predictor.stream_named([("-", sys.stdin.buffer.read())], faces=faces, marks=marks)
        else:
            yield from predictor.stream(some, faces=faces, marks=marks)


def _columns(prediction: Prediction, probability: Callable[[float | None], str], marked: bool) -> tuple[str, ...]:
    label = prediction.label if prediction.label is not None else "-"
    return (
        prediction.path or "-",
        label,
        probability(prediction.confidence),
        prediction.error or prediction.why,
        *([_marks(prediction)] if marked else []),
    )


def _marks(prediction: Prediction) -> str:
    return "-" if prediction.marks is None else "; ".join(prediction.marks.lines) or "none"


def _line(prediction: Prediction, marked: bool) -> str:
    cells = _columns(prediction, lambda p: "-" if p is None else f"{p:.6f}", marked)
    # One line per image: a tab or a line break in a file name would add columns or rows.
    return "\t".join(" ".join(cell.split()) if not cell.isprintable() else cell for cell in cells)


def _writers(
    predictor: Predictor, csv: Path | None, parquet: Path | None, marked: bool, stack: ExitStack
) -> list[Callable[[Prediction], None]]:
    from facevalue.runtime.bulk import writing_csv, writing_parquet

    classes = predictor.card.classes
    wanted = [(csv, writing_csv), (parquet, writing_parquet)]
    return [stack.enter_context(writing(path, classes, marked)) for path, writing in wanted if path is not None]
