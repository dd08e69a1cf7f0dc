"""A model's outputs image by image, kept in the model folder so that anyone can compute its figures again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from facevalue.errors import ModelFolderError
from facevalue.support import files

if TYPE_CHECKING:
    import pyarrow as pa

    from facevalue.evidence.records.base import Identity
    from facevalue.types import Reason

_HEADER = b"facevalue"
"""The key of the Parquet file's metadata under which the evaluations are listed."""


@dataclass(frozen=True, eq=False)
class ImageOutputs:
    """What a model gave for each image of one evaluation.

    Attributes
    ----------
    split, fingerprint, inputs : which evaluation, see :meth:`facevalue.evidence.records.Evaluation.identity`.
    hashes : (n,) SHA-256 of each image file, or of its pixels.
    groups : (n,) group of each image; "" where it is its own.
    y : (n,) true classes, indices into the model's classes.
    p : (n, k) calibrated probabilities.
    novelty : (n,) distances.
    unsure : (n,) images on which the model abstains for another reason than probability and novelty, by reason.
    without_face : images in which a model of faces found none. They have no outputs.
    """

    split: str
    fingerprint: str
    inputs: int
    hashes: tuple[str, ...]
    groups: tuple[str, ...]
    y: NDArray[np.int64]
    p: NDArray[np.float64]
    novelty: NDArray[np.float64]
    unsure: Mapping[Reason, NDArray[np.bool_]] = field(default_factory=dict)
    without_face: int = 0

    @property
    def identity(self) -> Identity:
        """Equal to that of the evaluation."""
        return (self.split, self.fingerprint, self.inputs)


def write_outputs(outputs: Iterable[ImageOutputs], classes: tuple[str, ...], path: Path) -> None:
    """Write a Parquet file: one row per image of each evaluation, with one column per class."""
    import pyarrow.parquet as pq

    with files.replacing_file(path) as partial:
        pq.write_table(_table(list(outputs), classes), partial, compression="zstd")


def read_outputs(path: Path, classes: tuple[str, ...]) -> tuple[ImageOutputs, ...]:
    """Read the file that :func:`write_outputs` wrote.

    Raises
    ------
    ModelFolderError
        The file is damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # From bytes: an open file could not be replaced on Windows.
        table = pq.read_table(pa.BufferReader(path.read_bytes()))
        header = json.loads(table.schema.metadata[_HEADER])
        places = np.cumsum([0, *(each["n"] for each in header)])
        return tuple(
            _outputs(each, table.slice(start, each["n"]), classes)
            for each, start in zip(header, places[:-1], strict=True)
        )
    except (OSError, KeyError, TypeError, ValueError, pa.ArrowException) as error:
        raise ModelFolderError(f"{path} is damaged: {error}") from error


def _table(outputs: list[ImageOutputs], classes: tuple[str, ...]) -> pa.Table:
    import pyarrow as pa

    header = [
        {
            "split": each.split,
            "fingerprint": each.fingerprint,
            "inputs": each.inputs,
            "n": len(each.y),
            "without_face": each.without_face,
            "unsure": list(each.unsure),
        }
        for each in outputs
    ]
    names = np.array(classes)
    columns: dict[str, list[NDArray[np.generic]]] = {"split": [], "sha256": [], "group": [], "label": []}
    columns |= {f"p({label})": [] for label in classes}
    columns |= {"novelty": []} | {reason: [] for each in outputs for reason in each.unsure}
    for each in outputs:
        n = len(each.y)
        rows: dict[str, NDArray[np.generic]] = {
            "split": np.full(n, each.split),
            "sha256": np.array(each.hashes),
            "group": _coded(each.groups),
            "label": names[each.y],
            **{f"p({label})": each.p[:, c] for c, label in enumerate(classes)},
            "novelty": each.novelty,
            **{str(reason): mask for reason, mask in each.unsure.items()},
        }
        for name, parts in columns.items():
            parts.append(rows.get(name, np.zeros(n, bool)))
    arrays = {name: pa.array(np.concatenate(parts)) for name, parts in columns.items()}
    return pa.table(arrays).replace_schema_metadata({_HEADER: json.dumps(header)})


def _coded(groups: tuple[str, ...]) -> NDArray[np.str_]:
    """The groups as numbers in the same order: names of people do not belong in this file."""
    known = {group: f"{i:09d}" for i, group in enumerate(sorted(set(groups) - {""}))}
    return np.array([known.get(group, "") for group in groups], dtype=np.str_)


def _outputs(header: Mapping[str, object], table: pa.Table, classes: tuple[str, ...]) -> ImageOutputs:
    index = {label: c for c, label in enumerate(classes)}
    return ImageOutputs(
        split=str(header["split"]),
        fingerprint=str(header["fingerprint"]),
        inputs=int(str(header["inputs"])),
        hashes=tuple(table["sha256"].to_pylist()),
        groups=tuple(table["group"].to_pylist()),
        y=np.array([index[label] for label in table["label"].to_pylist()], np.int64),
        p=np.column_stack([table[f"p({label})"].to_numpy() for label in classes]).astype(np.float64),
        novelty=table["novelty"].to_numpy().astype(np.float64),
        unsure={reason: table[reason].to_numpy().astype(bool) for reason in header["unsure"]},  # type: ignore[attr-defined]
        without_face=int(str(header["without_face"])),
    )
