"""Score many images into a folder of Parquet parts, and go on where a stopped run ended."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator
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
from facevalue.runtime.predictor import Predictor
from facevalue.runtime.scoring import engines, parts, pipeline, remote
from facevalue.runtime.scoring.items import Item, Skipped
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


class How(Record, frozen=True):
    """How to score.

    Attributes
    ----------
    engine : ``auto``, ``openvino`` or ``onnxruntime``.
    precision : ``fp32``, or ``bf16`` where the card says that it gives the model's answers.
    faces : as for :meth:`Predictor.stream`.
    part_images : most images in a part.
    """

    engine: Literal["auto", "openvino", "onnxruntime"] = "auto"
    precision: engines.Precision = "fp32"
    faces: WhichFaces = "largest"
    part_images: int = parts.IMAGES

    def __post_init__(self) -> None:
        if self.part_images < 1:
            raise UsageError(f"Expected `part_images` of at least 1, but got {self.part_images}")


Rows = list[dict[str, Any]]
Scorer = Callable[[Iterable[Item]], Iterator[tuple[str, Rows]]]
"""From images to the name and the rows of each, in order."""


def score(predictor: Predictor, model: Path, sources: Sources, output: Path, how: How) -> Scoring:
    """Score all images of ``sources`` into the folder ``output``, or those that are missing there.

    Parameters
    ----------
    model : the checked ``model.onnx`` that ``predictor`` runs.

    Raises
    ------
    UsageError
        ``output`` holds predictions of another model, of other sources or with other settings.
    FaceValueError
        The sources have changed since the first part was written, or another process writes ``output``.
    """
    engine = engines.opened(predictor.card, model, how.engine, how.precision)
    readers = READERS if any(map(remote.is_address, sources.given)) else 0

    def scorer(items: Iterable[Item]) -> Iterator[tuple[str, Rows]]:
        for name, predictions in pipeline.scored(predictor, engine, items, how.faces, readers):
            yield name, [bulk.row(prediction, predictor.card.classes) for prediction in predictions]

    with closing(engine):
        return into_parts(predictor, scorer, sources, output, how, engine.name)


def into_parts(
    predictor: Predictor, scorer: Scorer, sources: Sources, output: Path, how: How, engine: str
) -> Scoring:
    """Write the rows of ``scorer`` as parts; ``engine`` is the name that decides whether a run may go on."""
    card = predictor.card
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
    with parts.opened(output, asked, card.classes) as written:
        before = written.done.images
        written.skip(item.name for item in islice(items, before))
        start = time.perf_counter()
        _write(written, scorer(items), sources.count(), how.part_images)
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
