"""Score many images into a folder of Parquet parts, and go on where a stopped run ended."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import chain, islice
from pathlib import Path
from typing import Any, Literal

import msgspec

from facevalue.errors import UsageError
from facevalue.evidence.card import ONNX, ModelCard
from facevalue.evidence.findings import finding, say
from facevalue.evidence.record import Record
from facevalue.faces.gate import WhichFaces
from facevalue.runtime import bulk
from facevalue.runtime.gate import GateChoice
from facevalue.runtime.hub import local_folder
from facevalue.runtime.scoring import engines, parts, pipeline, ray_data, remote
from facevalue.runtime.scoring.engines import Precision
from facevalue.runtime.scoring.items import Item, Shard, Skipped
from facevalue.runtime.scoring.opening import How, Opening
from facevalue.runtime.scoring.sources import Sources
from facevalue.support import progress

SECONDS = 60.0
"""A part is written after so long, however few images it has: a killed run loses no more work."""

READERS = 16
"""Threads that read from remote storage, most of which wait."""


class Scoring(Record, frozen=True):
    """What became of the images.

    Attributes
    ----------
    output : the folder of parts.
    images, rows : with several faces, an image has several rows.
    answered, abstained : rows with and without a label.
    unreadable : images that could not be read; each has a row with ``error``.
    skipped : files that are no images.
    parts : files in the folder.
    scored : images that this run scored; the others were there already.
    seconds : that this run took to score them.
    engine : and its precision.
    """

    output: str
    images: int
    rows: int
    answered: int
    abstained: int
    unreadable: int
    skipped: int
    parts: int
    scored: int
    seconds: float
    engine: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, with ``images_per_second``."""
        rate = self.scored / self.seconds if self.scored else None
        return {**msgspec.to_builtins(self), "images_per_second": rate}


Rows = list[dict[str, Any]]
Scorer = Callable[[Iterable[Item]], Iterator[tuple[str, Rows]]]
"""From images to the name and the rows of each, in order."""


def predict_to_parquet(
    model: str | os.PathLike[str],
    sources: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    *,
    engine: Literal["auto", "openvino", "onnxruntime", "ray"] = "auto",
    precision: Precision = "fp32",
    shard: str | None = None,
    faces: WhichFaces = "largest",
    gate: GateChoice | None = None,
    gate_model: str | os.PathLike[str] | None = None,
    stable: int | None = None,
    part_images: int = parts.IMAGES,
) -> Scoring:
    """Predict any number of images into a folder of Parquet files, in constant memory.

    A run that was stopped or killed goes on where its last part ends, if it is called again.

    Parameters
    ----------
    model : a model folder.
    sources : folders, images, manifests (``.csv`` or ``.parquet`` with a column ``path``), tar archives, and addresses
        of these (``s3://``, ``gs://``, ``hf://``, ``https://``).
    output : the folder; every part has the columns of ``facevalue predict --parquet FILE``.
    engine : ``auto`` is OpenVINO where it is installed, else ONNX Runtime; ``ray`` scores on the machines of a Ray
        cluster.
    precision : ``bf16`` needs a card that says that it gives the model's answers on this processor.
    shard : ``I/N`` scores one of N parts of the sources; all N together score every image once.
    faces, gate, gate_model, stable : as for :func:`facevalue.predict`.
    part_images : most images in a part.

    Raises
    ------
    UsageError
        A source does not exist, or ``output`` holds predictions of another model, of other sources or with other
        settings.
    FaceValueError
        The sources have changed since the first part was written, or another process writes ``output``.
    """
    given = [sources] if isinstance(sources, str | os.PathLike) else list(sources)
    found = Sources.of(given, Shard.parsed(shard))
    opening = Opening(
        folder=str(local_folder(model).absolute()),
        gate=gate,
        gate_model=None if gate_model is None else str(Path(gate_model).absolute()),
        stable=stable,
    )
    how = How(engine=engine, precision=precision, faces=faces, part_images=part_images)
    return _scored(opening, found, Path(output), how)


def _scored(opening: Opening, sources: Sources, output: Path, how: How) -> Scoring:
    predictor = opening.predictor()
    card = predictor.card
    choice = "auto" if how.engine == "ray" else how.engine
    engine = engines.opened(card, opening.graph(card), choice, how.precision)
    readers = READERS if any(map(remote.is_address, sources.given)) else 0

    def here(items: Iterable[Item]) -> Iterator[tuple[str, Rows]]:
        for name, predictions in pipeline.scored(predictor, engine, items, how.faces, readers):
            yield name, [bulk.row(prediction, card.classes) for prediction in predictions]

    def everywhere(items: Iterable[Item]) -> Iterator[tuple[str, Rows]]:
        return ray_data.scored(opening, how, engine.name, items)

    if how.engine == "ray":
        ray_data.ray_package()
    with closing(engine):
        return _into_parts(card, everywhere if how.engine == "ray" else here, sources, output, how, engine.name)


def _into_parts(card: ModelCard, scorer: Scorer, sources: Sources, output: Path, how: How, engine: str) -> Scoring:
    """Write the rows of ``scorer`` as parts; ``engine`` is the name that decides whether a run may go on."""
    asked = {
        "model": _decides(card),
        "sources": sources.identity,
        "shard": str(sources.shard),
        "engine": engine,
        "faces": how.faces,
    }
    skipped = Skipped()
    items = sources.items(skipped)
    first = next(items, None)
    if first is None and sources.shard.of == 1:
        raise UsageError(f"there is no image in {', '.join(sources.given)}")
    items = chain([] if first is None else [first], items)
    total = sources.count()
    with parts.opened(output, asked, card.classes) as written:
        before = written.done.images
        written.skip(item.name for item in islice(items, before))
        start = time.perf_counter()
        _write(written, scorer(items), total, how.part_images)
        seconds = time.perf_counter() - start
        number = written.finish(asked)
        done = written.done
    if skipped.n:
        say([finding("files-passed-over", skipped.line(), n=skipped.n)])
    return Scoring(
        output=str(output),
        images=done.images,
        rows=done.rows,
        answered=done.rows - done.abstained - done.unreadable,
        abstained=done.abstained,
        unreadable=done.unreadable,
        skipped=skipped.n,
        parts=number,
        scored=done.images - before,
        seconds=seconds,
        engine=engine,
    )


def _write(written: parts.Parts, rows: Iterator[tuple[str, Rows]], total: int | None, part_images: int) -> None:
    with progress.work("scoring", total) as work:
        if written.done.images:
            work.skip(written.done.images)
        last = time.monotonic()
        try:
            for name, of_image in rows:
                written.add(name, of_image)
                work.advance()
                if written.held >= part_images or time.monotonic() - last > SECONDS:
                    written.write()
                    last = time.monotonic()
        except Exception:  # a storage that fails, for one: what is scored is kept
            if written.held:
                written.write()
            raise


def _decides(card: ModelCard) -> str:
    """A hash of all that a prediction is made from."""
    what = [
        card.files.get(ONNX),
        card.classes,
        card.positive,
        card.threshold,
        card.abstention,
        card.stability,
        card.preprocessing,
        card.gate,
    ]
    return hashlib.sha256(msgspec.json.encode(what)).hexdigest()
