"""The base of all predictors: read images, batch them, return predictions."""

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
"""Images per run of the network. ONNX Runtime is fastest at 4 to 8, with little memory."""


class Answer(NamedTuple):
    """A network's output for one image: probabilities (k,), novelty, and heat (h, w) if requested and available."""

    probabilities: NDArray[np.floating]
    novelty: float
    heat: NDArray[np.float32] | None


class ImagePredictor(ABC):
    """Predicts images in any form. A subclass sets ``card`` and implements :meth:`answers`."""

    card: ModelCard
    max_pixels: int | None = None
    """Images with more pixels are not decoded; ``None`` means :func:`facevalue.images.decoding.pixel_limit`."""

    @abstractmethod
    def answers(self, pixels: NDArray[np.uint8], heat: bool) -> list[Answer]:
        """The network's outputs for network inputs (n, s, s, 3) uint8 RGB, at most one batch."""

    @final
    def predict(self, images: Images, *, heat: bool = False) -> list[Prediction]:
        """Predictions for images, in order.

        A file that cannot be read gets a prediction with ``error`` set; the run goes on.

        Parameters
        ----------
        images : one image or many, each a path, the bytes of a file, a Pillow image, or a uint8 array (h, w, 3) RGB or
            (h, w) grey. A folder means all image files below it, sorted.
        heat : also return :attr:`Prediction.heat`, if the network has it.

        Raises
        ------
        UsageError
            An item of ``images`` is not an image.
        """
        return list(self.stream(images, heat=heat))

    @final
    def predict_proba(self, images: Images) -> NDArray[np.float64]:
        """Calibrated probabilities (n, k) for images as :meth:`predict` takes them, in the order of ``card.classes``.

        Raises
        ------
        DataError
            An image cannot be read.
        """
        rows = []
        for prediction in self.stream(images):
            if prediction.error is not None:
                raise DataError(f"{prediction.path or 'an image'} {prediction.error}, so it has no probabilities")
            rows.append([prediction.probabilities[label] for label in self.card.classes])
        return np.array(rows, np.float64).reshape(len(rows), len(self.card.classes))

    @final
    def stream(self, images: Images, *, heat: bool = False) -> Iterator[Prediction]:
        """As :meth:`predict`, but yields one prediction at a time, so memory does not grow with the number of images.

        Threads read and decode the next images while the network runs.
        """
        yield from self.stream_named(((name_of(image), image) for image in _expanded(images)), heat=heat)

    @final
    def stream_named(
        self, named: Iterable[tuple[str | None, ImageInput]], *, heat: bool = False
    ) -> Iterator[Prediction]:
        """One prediction for each pair of a name and an image; the name becomes ``path`` of the prediction."""
        size = min(BATCH, self.card.network.batch)
        inputs = machine.in_order(self._read, named, ahead=4 * BATCH)
        while batch := list(islice(inputs, size)):
            yield from self._predictions(batch, heat)

    @final
    def predict_bytes(self, data: bytes, path: str | None = None, *, heat: bool = False) -> Prediction:
        """The prediction for the bytes of one image file; ``path`` is copied to the prediction."""
        return self._predictions([self._read((path, data))], heat)[0]

    def _read(self, named: tuple[str | None, ImageInput]) -> _Input:
        name, image = named
        try:
            return _Input(name, self.card.preprocessing.of(image, self.max_pixels), None)
        except ImageError as error:
            return _Input(name, None, error)

    def _predictions(self, inputs: Sequence[_Input], heat: bool) -> list[Prediction]:
        """Predictions for at most one batch; unreadable images get a prediction with ``error``."""
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
    """The network input of one image, or the reason why there is none."""

    name: str | None
    pixels: NDArray[np.uint8] | None
    error: ImageError | None


def _expanded(images: Images) -> Iterator[ImageInput]:
    """The images one by one; a folder is replaced by the image files below it."""
    for image in each(images):
        if isinstance(image, str | os.PathLike):
            yield from expand(Path(image))
        else:
            yield image
