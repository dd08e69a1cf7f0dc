"""Write predictions to CSV or Parquet row by row; the file appears only when it is complete."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from facevalue.errors import MissingExtraError
from facevalue.marks import OriginMarks
from facevalue.support import files, spreadsheet
from facevalue.types import Prediction

ROWS = 4096
"""Rows in memory before they are written to a Parquet file."""

Write = Callable[[Prediction], None]


def row(prediction: Prediction, classes: Sequence[str], marks: bool = False) -> dict[str, Any]:
    """One flat row: the prediction, then one column ``p_CLASS`` per class, then the marks of origin if asked for.

    ``reasons`` and the four numbers of ``box`` are joined by spaces.

    ``probability`` is that of ``leaning``, which is ``label`` unless the model abstains.

    >>> row(Prediction("cat", {"cat": 0.75, "dog": 0.25}, leaning="cat", path="a.png"), ["cat", "dog"])["p_dog"]
    0.25
    """
    return {
        # One file name that is not UTF-8 must not stop a table of millions.
        "path": None if prediction.path is None else files.as_text(prediction.path),
        "label": prediction.label,
        "probability": prediction.confidence,
        "abstained": prediction.abstained,
        "reasons": " ".join(prediction.reasons),
        "leaning": prediction.leaning,
        "novelty": prediction.novelty,
        "error": prediction.error,
        "face": prediction.face,
        "faces": prediction.faces,
        "box": None if prediction.box is None else " ".join(map(str, prediction.box)),
        "detail": prediction.detail,
        **{f"p_{name}": prediction.probabilities.get(name) for name in classes},
        **(_marks(prediction.marks) if marks else {}),
    }


def _marks(marks: OriginMarks | None) -> dict[str, Any]:
    """Columns of what the file says of its origin; empty where there is no file."""
    names = ("credentials", "signed_by", "says_ai", "marks")
    if marks is None:
        return dict.fromkeys(names)
    signed = marks.credentials.state in ("valid", "trusted", "invalid")
    who = marks.credentials.who if signed else None
    return dict(zip(names, (marks.credentials.state, who, marks.says_ai, "; ".join(marks.lines)), strict=True))


@contextmanager
def writing_csv(path: Path, classes: Sequence[str], marks: bool = False) -> Iterator[Write]:
    """Yield a function that writes one prediction; the file appears if the block succeeds.

    For people and spreadsheets, see :mod:`facevalue.support.spreadsheet`: numbers have four digits, reasons are in
    words, missing values are empty cells.
    """
    columns = list(row(Prediction(None, {}), classes, marks))
    numbers = {"probability", "novelty", *(f"p_{name}" for name in classes)}
    with files.replacing_file(path) as partial, spreadsheet.writing(partial, columns) as write:

        def write_one(prediction: Prediction) -> None:
            plain = row(prediction, classes, marks) | {"reasons": prediction.why}
            write({name: spreadsheet.digits(v) if name in numbers else v for name, v in plain.items()})

        yield write_one


def parquet_schema(classes: Sequence[str], marks: bool = False) -> Any:
    """The columns of :func:`row` with their types, as a ``pyarrow.Schema``.

    Raises
    ------
    MissingExtraError
        pyarrow is not installed.
    """
    try:
        import pyarrow as pa
    except ImportError as error:
        raise MissingExtraError("pyarrow", "train") from error
    text, whole = pa.string(), pa.int32()
    numbers = ("novelty", "probability", *(f"p_{name}" for name in classes))
    flags = dict.fromkeys(("abstained", "says_ai"), pa.bool_())
    types = {**flags, "face": whole, "faces": whole, **dict.fromkeys(numbers, pa.float64())}
    return pa.schema([(name, types.get(name, text)) for name in row(Prediction(None, {}), classes, marks)])


@contextmanager
def writing_parquet(path: Path, classes: Sequence[str], marks: bool = False) -> Iterator[Write]:
    """As :func:`writing_csv`, in Parquet with typed columns.

    Raises
    ------
    MissingExtraError
        pyarrow is not installed.
    """
    schema = parquet_schema(classes, marks)
    import pyarrow as pa
    from pyarrow import parquet

    held: list[dict[str, Any]] = []
    with files.replacing_file(path) as partial, parquet.ParquetWriter(partial, schema) as writer:

        def flush() -> None:
            writer.write_table(pa.Table.from_pylist(held, schema))
            held.clear()

        def write(prediction: Prediction) -> None:
            held.append(row(prediction, classes, marks))
            if len(held) >= ROWS:
                flush()

        yield write
        if held:
            flush()


def write_csv(predictions: Iterable[Prediction], path: Path, classes: Sequence[str]) -> int:
    """Write all predictions to a CSV file; returns their number."""
    with writing_csv(path, classes) as write:
        return _write_all(predictions, write)


def write_parquet(predictions: Iterable[Prediction], path: Path, classes: Sequence[str]) -> int:
    """Write all predictions to a Parquet file; returns their number."""
    with writing_parquet(path, classes) as write:
        return _write_all(predictions, write)


def _write_all(predictions: Iterable[Prediction], write: Write) -> int:
    n = 0
    for prediction in predictions:
        write(prediction)
        n += 1
    return n
