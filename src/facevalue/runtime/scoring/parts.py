"""A folder of Parquet files that is always whole, and that says how far a run came.

Every part covers the next images in the order of the sources. It appears under its name only when it is complete, and
its metadata say how many images it covers and which: a hash over the names of all images so far. So the parts alone are
the state. A run that goes on counts their images, checks that the sources still begin with the same names, and scores
the rest: nothing twice, nothing left out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, final

import msgspec

from facevalue.errors import FaceValueError, UsageError
from facevalue.evidence.record import Record
from facevalue.runtime import bulk
from facevalue.support import files, output_folder
from facevalue.support.files import as_text

MANIFEST = "_manifest.json"
"""What was asked for. Readers of Parquet folders pass over names with an underscore."""

FORMAT = 1
IMAGES = 10_000
"""Images in a part."""

_KEY = b"facevalue"
_NAME = "part-{:06d}.parquet"


class Progress(Record, frozen=True):
    """How far a run came, at the end of a part.

    Attributes
    ----------
    images, rows : so far; with several faces, an image has several rows.
    abstained, unreadable : rows without a label, and images that could not be read.
    names : SHA-256 over the names of these images, in order.
    """

    images: int = 0
    rows: int = 0
    abstained: int = 0
    unreadable: int = 0
    names: str = ""


@final
class Parts:
    """The parts of one run. Use :func:`opened`.

    Attributes
    ----------
    done : how far the parts on disk reach.
    """

    def __init__(self, folder: Path, schema: Any) -> None:
        self.folder = folder
        self._schema = schema
        self._held: list[Mapping[str, Any]] = []
        self._number, self.done = _on_disk(folder)
        self._now = self.done
        self._names = hashlib.sha256()

    @property
    def held(self) -> int:
        """Images that are not in a part yet."""
        return self._now.images - self.done.images

    def skip(self, names: Iterable[str]) -> None:
        """Compare the names of the images that the parts cover with those of the sources now.

        Raises
        ------
        FaceValueError
            They differ.
        """
        n = 0
        for name in names:
            self._add_name(name)
            n += 1
        if n < self.done.images or (n and self._names.hexdigest() != self.done.names):
            raise FaceValueError(
                f"the first {self.done.images:,} images of the sources are not those in {self.folder}: files were "
                "added, removed or renamed; choose another `output`"
            )

    def add(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """The rows of the next image, as :func:`facevalue.runtime.bulk.row` makes them."""
        self._add_name(name)
        self._held.extend(rows)
        self._now = self._now.changed(
            images=self._now.images + 1,
            rows=self._now.rows + len(rows),
            abstained=self._now.abstained + sum(row["abstained"] for row in rows),
            unreadable=self._now.unreadable + (rows[0]["error"] is not None),
        )

    def write(self) -> None:
        """Write what is held as the next part."""
        import pyarrow as pa
        from pyarrow import parquet

        now = self._now.changed(names=self._names.hexdigest())
        schema = self._schema.with_metadata({_KEY: msgspec.json.encode(now)})
        with files.replacing_file(self.folder / _NAME.format(self._number)) as partial:
            parquet.write_table(pa.Table.from_pylist(self._held, schema), partial)
        self._held = []
        self._number += 1
        self.done = self._now = now

    def _add_name(self, name: str) -> None:
        text = as_text(name).encode()
        self._names.update(len(text).to_bytes(8, "big") + text)

    def finish(self, asked: Mapping[str, Any]) -> int:
        """Write into the manifest that the run is complete; returns the number of parts."""
        if self.held or not self._number:  # a run without images has one part without rows
            self.write()
        figures = {"complete": True, "parts": self._number, **self.done.to_dict()}
        files.write_json(self.folder / MANIFEST, {"format": FORMAT, **asked, **figures})
        return self._number


@contextmanager
def opened(folder: Path, asked: Mapping[str, Any], classes: Sequence[str]) -> Iterator[Parts]:
    """The parts in a folder, which no other process writes meanwhile.

    Parameters
    ----------
    asked : what decides the rows: model, sources, engine. It must be what the folder was begun with.

    Raises
    ------
    UsageError
        The folder holds something else, or the parts of another run.
    FaceValueError
        Another process writes it, or a part is missing or damaged.
    MissingExtraError
        pyarrow is not installed.
    """
    asked = {"format": FORMAT, **asked}
    schema = bulk.parquet_schema(classes)
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; choose another `output`")
    files.check_writable(folder / MANIFEST)
    with output_folder.locked(folder), output_folder.resumable(folder):
        half_written = set(folder.glob(f".{MANIFEST}.*.json"))  # of a killed process
        if folder.is_dir() and set(folder.iterdir()) - half_written:
            _check_same(folder, asked)
        else:
            folder.mkdir(parents=True, exist_ok=True)
            files.write_json(folder / MANIFEST, {**asked, "complete": False})
        for left in (*half_written, *folder.glob(".part-*.parquet")):
            left.unlink()
        yield Parts(folder, schema)


def _check_same(folder: Path, asked: Mapping[str, Any]) -> None:
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UsageError(f"{folder} is not empty and no folder of predictions; choose another `output`") from error
    except ValueError as error:
        raise FaceValueError(f"{folder / MANIFEST} is damaged; choose another `output`") from error
    if not isinstance(manifest, dict):
        raise FaceValueError(f"{folder / MANIFEST} is damaged; choose another `output`")
    for name, value in asked.items():
        was = manifest.get(name)
        if was != value:
            # The model is named by a hash, which tells nobody anything.
            what = f"{name}: {_short(was)}, now {_short(value)}"
            if name == "model":
                what = "another model, gate or `stable`"
            raise UsageError(f"{folder} holds predictions of another run ({what}); choose another `output`")


def _short(value: Any) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= 80 else f"{text[:77]}…"


def _on_disk(folder: Path) -> tuple[int, Progress]:
    """The number of parts, and how far they reach."""
    paths = sorted(folder.glob("part-*.parquet"))
    for number, path in enumerate(paths):
        if path.name != _NAME.format(number):
            raise FaceValueError(f"{folder / _NAME.format(number)} is missing, but {path.name} is there")
    if not paths:
        return 0, Progress()
    done = Progress()
    rows = 0
    for path in paths:
        done, own = _read(path)
        rows += own
    if rows != done.rows:
        raise FaceValueError(f"the parts in {folder} have {rows} rows, but {done.rows} were written; one was changed")
    return len(paths), done


def _read(path: Path) -> tuple[Progress, int]:
    from pyarrow import ArrowInvalid, parquet

    try:
        found = parquet.read_metadata(path)
        return msgspec.json.decode(found.metadata[_KEY], type=Progress), found.num_rows
    except (ArrowInvalid, OSError, KeyError, TypeError, msgspec.DecodeError) as error:
        raise FaceValueError(f"{path} is damaged or no part of a run; choose another `output`") from error
