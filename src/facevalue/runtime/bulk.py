"""Write predictions to CSV or Parquet row by row; the file appears only when it is complete."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from facevalue.errors import MissingExtraError
from facevalue.support import files
from facevalue.types import Prediction

ROWS = 4096
"""Rows in memory before they are written to a Parquet file."""

Write = Callable[[Prediction], None]


def row(prediction: Prediction, classes: Sequence[str]) -> dict[str, Any]:
    """One flat row: the prediction, then one column ``p_CLASS`` per class.

    ``reasons`` and the four numbers of ``box`` are joined by spaces.

    >>> row(Prediction("cat", {"cat": 0.75, "dog": 0.25}, leaning="cat", path="a.png"), ["cat", "dog"])["p_dog"]
    0.25
    """
    return {
        # One file name that is not UTF-8 must not stop a table of millions.
        "path": None if prediction.path is None else files.as_text(prediction.path),
        "label": prediction.label,
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
    }


@contextmanager
def writing_csv(path: Path, classes: Sequence[str]) -> Iterator[Write]:
    """Yield a function that writes one prediction; the file appears if the block succeeds.

    UTF-8 with a header; missing values are empty fields.
    """
    columns = list(row(Prediction(None, {}), classes))
    with files.replacing_file(path) as partial, partial.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, columns, lineterminator="\n")
        writer.writeheader()
        yield lambda prediction: writer.writerow(row(prediction, classes))


@contextmanager
def writing_parquet(path: Path, classes: Sequence[str]) -> Iterator[Write]:
    """As :func:`writing_csv`, in Parquet with typed columns.

    Raises
    ------
    MissingExtraError
        pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtraError("pyarrow", "train") from error
    text, number = pa.string(), pa.float64()
    whole = pa.int32()
    types = {
        "abstained": pa.bool_(),
        "novelty": number,
        "face": whole,
        "faces": whole,
        **{f"p_{name}": number for name in classes},
    }
    schema = pa.schema([(name, types.get(name, text)) for name in row(Prediction(None, {}), classes)])
    held: list[dict[str, Any]] = []
    with files.replacing_file(path) as partial, parquet.ParquetWriter(partial, schema) as writer:

        def flush() -> None:
            writer.write_table(pa.Table.from_pylist(held, schema))
            held.clear()

        def write(prediction: Prediction) -> None:
            held.append(row(prediction, classes))
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
