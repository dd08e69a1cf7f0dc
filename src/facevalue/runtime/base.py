"""What everything that answers about images has in common: reading them, batching them, and the answer's form."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from facevalue import decision
from facevalue.errors import DataError, ImageError
from facevalue.evidence.card import ModelCard
from facevalue.images.sources import ImageInput, Images, each, name_of
from facevalue.runtime.image_files import expand
from facevalue.support import machine
from facevalue.types import Prediction

BATCH = 8
"""Images for one run of the network. ONNX Runtime is quickest at 4 to 8, and memory stays small."""


class Answer(NamedTuple):
    """What a network says of one image: probabilities (k,), novelty, and heat (h, w) if asked and there is one."""

    probabilities: NDArray[np.floating]
    novelty: float
    heat: NDArray[np.float32] | None


class ImagePredictor(ABC):
    """Images in any form in, predictions out. A subclass has a ``card`` and writes :meth:`answers`."""

    card: ModelCard
    max_pixels: int | None = None
    """Images with more are not decoded; :func:`facevalue.images.decoding.pixel_limit` where it is ``None``."""

    @abstractmethod
    def answers(self, pixels: NDArray[np.uint8], heat: bool) -> list[Answer]:
        """What the network says of network inputs (n, s, s, 3) uint8 RGB, at most a batch of them."""

    @final
    def predict(self, images: Images, *, heat: bool = False) -> list[Prediction]:
        """Predictions for images, in order.

        A file that is no readable image gets a prediction with ``error`` set; it never ends the run.

        Parameters
        ----------
        images : one image or many, each a path, the bytes of a file, a Pillow image, or a uint8 array (h, w, 3) RGB or
            (h, w) grey. A folder stands for all image files below it, sorted.
        heat : also give :attr:`Prediction.heat`, where the network has it.

        Raises
        ------
        UsageError
            Something among ``images`` is no image.
        """
        return list(self.stream(images, heat=heat))

    @final
    def predict_proba(self, images: Images) -> NDArray[np.float64]:
        """Calibrated probabilities (n, k) for images as :meth:`predict` takes them, in the order of ``card.classes``.

        Raises
        ------
        DataError
            An image cannot be read: it has no probabilities.
        """
        rows = []
        for prediction in self.stream(images):
            if prediction.error is not None:
                raise DataError(f"{prediction.path or 'an image'} {prediction.error}, so it has no probabilities")
            rows.append([prediction.probabilities[label] for label in self.card.classes])
        return np.array(rows, np.float64).reshape(len(rows), len(self.card.classes))

    @final
    def stream(self, images: Images, *, heat: bool = False) -> Iterator[Prediction]:
        """As :meth:`predict`, one by one: memory stays flat however many images there are.

        Images are read and decoded ahead by threads while the network works.
        """
        yield from self.stream_named(((name_of(image), image) for image in _expanded(images)), heat=heat)

    @final
    def stream_named(
        self, named: Iterable[tuple[str | None, ImageInput]], *, heat: bool = False
    ) -> Iterator[Prediction]:
        """One prediction for each pair of a name, which is only handed on as ``path``, and an image."""
        size = min(BATCH, self.card.network.batch)
        inputs = machine.in_order(self._read, named, ahead=4 * BATCH)
        while batch := list(islice(inputs, size)):
            yield from self._predictions(batch, heat)

    @final
    def predict_bytes(self, data: bytes, path: str | None = None, *, heat: bool = False) -> Prediction:
        """The prediction on one image file's bytes; ``path`` is only handed on."""
        return self._predictions([self._read((path, data))], heat)[0]

    def _read(self, named: tuple[str | None, ImageInput]) -> _Input:
        name, image = named
        try:
            return _Input(name, self.card.preprocessing.of(image, self.max_pixels), None)
        except ImageError as error:
            return _Input(name, None, error)

    def _predictions(self, inputs: Sequence[_Input], heat: bool) -> list[Prediction]:
        """Predictions on at most a batch; the unreadable pass through."""
        readable = [item.pixels for item in inputs if item.pixels is not None]
        answers = iter(self.answers(np.stack(readable), heat) if readable else [])
        found = []
        for item in inputs:
            if item.error is not None:
                found.append(decision.unreadable(item.error, item.name))
                continue
            answer = next(answers)
            found.append(
                decision.prediction_of(self.card, answer.probabilities, answer.novelty, answer.heat, item.name)
            )
        return found


@final
class _Input(NamedTuple):
    """One image on its way: the network input, or why there is none."""

    name: str | None
    pixels: NDArray[np.uint8] | None
    error: ImageError | None


def _expanded(images: Images) -> Iterator[ImageInput]:
    """The images one by one, a folder as the image files below it."""
    for image in each(images):
        if isinstance(image, str | os.PathLike):
            yield from expand(Path(image))
        else:
            yield image
