"""From images to predictions: threads decode, an engine answers, results come in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from itertools import islice
from typing import Any, NamedTuple, final

import numpy as np

from facevalue import decision
from facevalue.errors import ImageError
from facevalue.faces.gate import WhichFaces
from facevalue.images.sources import ImageInput
from facevalue.images.versions import version_of
from facevalue.runtime.base import Input
from facevalue.runtime.predictor import Predictor
from facevalue.runtime.scoring.engines import Engine
from facevalue.runtime.scoring.items import Item
from facevalue.support import machine
from facevalue.types import Prediction

READ_AHEAD, ASKED_AHEAD = 32, 8
"""Images that are read and decoded ahead, at least two for each thread; and network inputs that wait for their answers,
for each thread of the engine. On two processors both are 7 MB at 224 pixels."""


class Scored(NamedTuple):
    """An image with its predictions: one, or one for each face."""

    name: str
    predictions: list[Prediction]


@final
class _Asked(NamedTuple):
    """An input with the answers to come, one for each version of it; none if it has no pixels."""

    item: Input
    answers: list[Any]


_Given = tuple[str, Item | ImageInput | ImageError]
"""The name of an image, and the image, or where it can be loaded from, or why it cannot be."""

_Read = tuple[str, tuple[Input, ...]]
"""The name of an image, and what the network is asked about it."""


def scored(
    predictor: Predictor, engine: Engine, items: Iterable[Item], faces: WhichFaces = "largest", readers: int = 0
) -> Iterator[Scored]:
    """The predictions for images, in order; the same as :meth:`Predictor.stream_named` gives.

    Memory does not grow with the number of images.

    Parameters
    ----------
    readers : threads that read and decode, if more than the processors: for storage that answers slowly.
    """
    asked: deque[tuple[str, list[_Asked]]] = deque()
    most = ASKED_AHEAD * machine.threads()
    waiting = 0
    with closing(_read(predictor, faces, items, max(machine.cores(), readers))) as read:
        for name, inputs in read:
            asked.append((name, [_ask(predictor, engine, one) for one in inputs]))
            waiting += _answers(asked[-1][1])
            while waiting > most or len(asked) > most:  # an image without pixels waits for no answer
                waiting -= _answers(asked[0][1])
                yield _finished(predictor, engine, *asked.popleft())
    while asked:
        yield _finished(predictor, engine, *asked.popleft())


def _read(predictor: Predictor, faces: WhichFaces, items: Iterable[Item], threads: int) -> Generator[_Read]:
    """Read and decode the images; in order."""
    # Threads take a few images at a time, so that they are not woken for each.
    few = max(1, READ_AHEAD // (2 * threads))
    reading: deque[Future[list[_Read]]] = deque()
    given = _given(items)
    with ThreadPoolExecutor(threads) as pool:
        try:
            while some := list(islice(given, few)):
                reading.append(pool.submit(_inputs_of, predictor, faces, some))
                if len(reading) > 2 * threads:
                    yield from reading.popleft().result()
            while reading:
                yield from reading.popleft().result()
        finally:
            for future in reading:
                future.cancel()


def _given(items: Iterable[Item]) -> Iterator[_Given]:
    """The images; those that must be loaded before the next one is asked for are loaded."""
    for item in items:
        yield item.name, _loaded(item) if item.in_turn else item


def _loaded(item: Item) -> ImageInput | ImageError:
    try:
        return item.load()
    except ImageError as error:
        return error


def _inputs_of(predictor: Predictor, faces: WhichFaces, some: list[_Given]) -> list[_Read]:
    found: list[_Read] = []
    for name, image in some:
        loaded = _loaded(image) if isinstance(image, Item) else image
        if isinstance(loaded, ImageError):
            found.append((name, (Input(name, None, loaded),)))
        else:
            found.append((name, predictor.inputs_of((name, loaded), faces)))
    return found


def _ask(predictor: Predictor, engine: Engine, item: Input) -> _Asked:
    """Send the versions of a network input to the engine."""
    pixels = item.pixels
    if pixels is None:
        return _Asked(item, [])
    return _Asked(item, [engine.submit(version_of(pixels, number)) for number in range(predictor.card.inputs)])


def _answers(asked: list[_Asked]) -> int:
    return sum(len(one.answers) for one in asked)


def _finished(predictor: Predictor, engine: Engine, name: str, asked: list[_Asked]) -> Scored:
    return Scored(name, [_prediction(predictor, engine, *each) for each in asked])


def _prediction(predictor: Predictor, engine: Engine, item: Input, submitted: list[Any]) -> Prediction:
    answers = [engine.result(one) for one in submitted]
    if len(answers) < 2:
        return predictor.prediction_of(item, answers[0] if answers else None)
    # Novelty is of the input itself, probabilities are of all its versions.
    found = decision.combined(predictor.card, np.array([[answer.probabilities] for answer in answers]))
    own = answers[0]._replace(probabilities=found.p[0])
    return predictor.prediction_of(item, own, bool(found.unstable[0]))
