"""From images to predictions: threads decode, an engine answers, results come in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import NamedTuple, final

import numpy as np

from facevalue import decision
from facevalue.errors import ImageError
from facevalue.faces.gate import WhichFaces
from facevalue.images.sources import ImageInput
from facevalue.images.versions import version_of
from facevalue.runtime.base import Answer, Input
from facevalue.runtime.predictor import Predictor
from facevalue.runtime.scoring.engines import Engine
from facevalue.runtime.scoring.items import Item
from facevalue.support import machine
from facevalue.types import Prediction

AHEAD = 64
"""Images that are being read, decoded or answered at a time: 10 MB of network inputs at 224 pixels."""


class Scored(NamedTuple):
    """An image with its predictions: one, or one for each face."""

    name: str
    predictions: list[Prediction]


@final
class _Asked(NamedTuple):
    """An input with the network's answers to come, one for each version of it; none if it has no pixels."""

    item: Input
    answers: list[Future[Answer]]


def scored(
    predictor: Predictor, engine: Engine, items: Iterable[Item], faces: WhichFaces = "largest", readers: int = 0
) -> Iterator[Scored]:
    """The predictions for images, in order; the same as :meth:`Predictor.stream_named` gives.

    Memory does not grow with the number of images.

    Parameters
    ----------
    readers : threads that read and decode, if more than the processors: for storage that answers slowly.
    """
    read = partial(_inputs, predictor, faces)
    reading: deque[tuple[str, Future[tuple[Input, ...]]]] = deque()
    asked: deque[tuple[str, list[_Asked]]] = deque()
    with ThreadPoolExecutor(max(machine.cores(), readers)) as pool:
        try:
            for item in items:
                reading.append((item.name, pool.submit(read, item.name, _loaded(item) if item.in_turn else item)))
                while reading and (len(reading) >= AHEAD // 2 or reading[0][1].done()):
                    asked.append(_ask(predictor, engine, *reading.popleft()))
                    if len(asked) >= AHEAD // 2:
                        yield _finished(predictor, engine, *asked.popleft())
            while reading:
                asked.append(_ask(predictor, engine, *reading.popleft()))
                if len(asked) >= AHEAD // 2:
                    yield _finished(predictor, engine, *asked.popleft())
            while asked:
                yield _finished(predictor, engine, *asked.popleft())
        finally:
            for _, future in reading:
                future.cancel()


def _loaded(item: Item) -> ImageInput | ImageError:
    try:
        return item.load()
    except ImageError as error:
        return error


def _inputs(
    predictor: Predictor, faces: WhichFaces, name: str, image: Item | ImageInput | ImageError
) -> tuple[Input, ...]:
    found = _loaded(image) if isinstance(image, Item) else image
    return (Input(name, None, found),) if isinstance(found, ImageError) else predictor.inputs_of((name, found), faces)


def _ask(
    predictor: Predictor, engine: Engine, name: str, reading: Future[tuple[Input, ...]]
) -> tuple[str, list[_Asked]]:
    """Send the network inputs of an image to the engine, once they are there."""
    found = []
    for item in reading.result():
        pixels = item.pixels
        versions = [] if pixels is None else [version_of(pixels, number) for number in range(predictor.card.inputs)]
        found.append(_Asked(item, [engine.submit(version) for version in versions]))
    return name, found


def _finished(predictor: Predictor, engine: Engine, name: str, asked: list[_Asked]) -> Scored:
    return Scored(name, [_prediction(predictor, engine, *each) for each in asked])


def _prediction(predictor: Predictor, engine: Engine, item: Input, futures: list[Future[Answer]]) -> Prediction:
    answers = [engine.result(future) for future in futures]
    if len(answers) < 2:
        return predictor.prediction_of(item, answers[0] if answers else None)
    # Novelty is of the input itself, probabilities are of all its versions.
    found = decision.combined(predictor.card, np.array([[answer.probabilities] for answer in answers]))
    own = answers[0]._replace(probabilities=found.p[0])
    return predictor.prediction_of(item, own, bool(found.unstable[0]))
