"""The base of all predictors: read images, batch them, return predictions."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple, final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facevalue import decision
from facevalue.errors import DataError, ImageError, UsageError
from facevalue.evidence.card import ModelCard
from facevalue.faces.gate import FaceGate, Seen, WhichFaces
from facevalue.images.sources import ImageInput, Images, each, encoded, name_of, upright
from facevalue.images.versions import versions_of
from facevalue.marks import MarkReader, OriginMarks
from facevalue.runtime.image_files import expand
from facevalue.support import machine
from facevalue.types import Prediction

BATCH = 8
"""Most images per run of the network."""


class Answer(NamedTuple):
    """A network's output for one image: probabilities (k,), novelty, and heat (h, w) if requested and available."""

    probabilities: NDArray[np.floating]
    novelty: float
    heat: NDArray[np.float32] | None


@final
class Input(NamedTuple):
    """What the network is asked about an image, or the reason why it is not asked.

    Attributes
    ----------
    name : of the image.
    pixels : (s, s, 3) uint8 RGB, the network input; ``None`` if the image cannot be read or shows no face.
    error : why it cannot be read.
    seen : the face, or that there is none; ``None`` if no faces were looked for.
    marks : what the file says of its origin; ``None`` if that was not asked for, or there is no file.
    """

    name: str | None
    pixels: NDArray[np.uint8] | None
    error: ImageError | None = None
    seen: Seen | None = None
    marks: OriginMarks | None = None


class ImagePredictor(ABC):
    """Predicts images in any form. A subclass sets ``card`` and implements :meth:`answers`."""

    card: ModelCard
    gate: FaceGate | None = None
    """Looks for faces before the network is asked. A model that was trained on faces cannot do without."""
    max_pixels: int | None = None
    """Images with more pixels are not decoded; ``None`` means :func:`facevalue.images.decoding.pixel_limit`."""

    images_per_run: int = BATCH
    """Network inputs per run of the network, if the network takes so many."""

    @abstractmethod
    def answers(self, pixels: NDArray[np.uint8], heat: bool) -> list[Answer]:
        """The network's outputs for network inputs (n, s, s, 3) uint8 RGB, at most one batch."""

    @final
    def predict(
        self,
        images: Images,
        *,
        heat: bool = False,
        faces: WhichFaces = "largest",
        marks: MarkReader | None = None,
    ) -> list[Prediction]:
        """Predictions for images, in order.

        A file that cannot be read gets a prediction with ``error`` set; the run goes on.

        Parameters
        ----------
        images : one image or many, each a path, the bytes of a file, a Pillow image, or a uint8 array (h, w, 3) RGB or
            (h, w) grey. A folder means all image files below it, sorted.
        heat : also return :attr:`Prediction.heat`, if the network has it.
        faces : the ``largest`` face of an image, or ``all``: one prediction for each face, the largest first.
        marks : reads what the files say of their origin, into :attr:`Prediction.marks`.

        Raises
        ------
        UsageError
            An item of ``images`` is not an image, or ``faces`` is ``all`` and the model takes whole images.
        """
        return list(self.stream(images, heat=heat, faces=faces, marks=marks))

    @final
    def predict_proba(self, images: Images) -> NDArray[np.float64]:
        """Calibrated probabilities (n, k) for images as :meth:`predict` takes them, in the order of ``card.classes``.

        Raises
        ------
        DataError
            An image cannot be read, or shows no face and the model is about faces.
        """
        rows = []
        for prediction in self.stream(images):
            if not prediction.probabilities:
                why = prediction.error or "shows no face"
                raise DataError(f"{prediction.path or 'an image'} {why}, so it has no probabilities")
            rows.append([prediction.probabilities[label] for label in self.card.classes])
        return np.array(rows, np.float64).reshape(len(rows), len(self.card.classes))

    @final
    def stream(
        self,
        images: Images,
        *,
        heat: bool = False,
        faces: WhichFaces = "largest",
        marks: MarkReader | None = None,
    ) -> Iterator[Prediction]:
        """As :meth:`predict`, but yields one prediction at a time, so memory does not grow with the number of images.

        Threads read and decode the next images while the network runs.
        """
        named = ((name_of(image), image) for image in _expanded(images))
        yield from self.stream_named(named, heat=heat, faces=faces, marks=marks)

    @final
    def stream_named(
        self,
        named: Iterable[tuple[str | None, ImageInput]],
        *,
        heat: bool = False,
        faces: WhichFaces = "largest",
        marks: MarkReader | None = None,
    ) -> Iterator[Prediction]:
        """Predictions for pairs of a name and an image; the name becomes ``path`` of the prediction."""
        size = min(self.images_per_run, self.card.network.batch)
        read = partial(self._read, faces=faces, marks=marks)
        inputs = chain.from_iterable(machine.in_order(read, named, ahead=4 * BATCH))
        while batch := list(islice(inputs, size)):
            yield from self._predictions(batch, heat)

    @final
    def predict_bytes(self, data: bytes, path: str | None = None, *, heat: bool = False) -> Prediction:
        """The prediction for the bytes of one image file; ``path`` is copied to the prediction."""
        return self._predictions(self.inputs_of((path, data)), heat)[0]

    @final
    def inputs_of(self, named: tuple[str | None, ImageInput], faces: WhichFaces = "largest") -> tuple[Input, ...]:
        """What the network is to be asked about an image: one input, or with ``all`` faces one for each.

        Parameters
        ----------
        named : a name and an image.

        Raises
        ------
        UsageError
            ``faces`` is not ``largest``, and the model takes whole images.
        """
        name, image = named
        if faces not in ("largest", "all"):
            raise UsageError(f"Expected `faces` to be largest or all, but got {faces!r}")
        preprocessing, gate = self.card.preprocessing, self.gate
        if faces == "all" and (gate is None or preprocessing.face_margin is None):
            raise UsageError("`faces` all needs a model that was trained with a face gate; this one takes whole images")
        try:
            if gate is None:
                return (Input(name, preprocessing.of(image, self.max_pixels)),)
            whole = upright(image, self.max_pixels)
            rows = gate.look(whole, faces)
            if preprocessing.face_margin is None:  # faces are only looked for: the model was trained on whole images
                pixels = None if rows[0].box is None else preprocessing.of(image, self.max_pixels)
                return (Input(name, pixels, seen=rows[0]),)
            crops = [None if seen.box is None else preprocessing.of_face(whole, seen.box) for seen in rows]
            return tuple(Input(name, crop, seen=seen) for crop, seen in zip(crops, rows, strict=True))
        except ImageError as error:
            return (Input(name, None, error),)

    def _read(
        self, named: tuple[str | None, ImageInput], faces: WhichFaces, marks: MarkReader | None
    ) -> tuple[Input, ...]:
        """As :meth:`inputs_of`, with the marks of the file."""
        name, image = named
        if marks is None or isinstance(image, np.ndarray | Image.Image):
            return self.inputs_of(named, faces)
        try:
            data = encoded(image)
        except ImageError as error:
            return (Input(name, None, error),)
        found = marks.of(data)
        return tuple(one._replace(marks=found) for one in self.inputs_of((name, data), faces))

    @final
    def combined(self, pixels: NDArray[np.uint8], own: NDArray[np.floating]) -> decision.Combined:
        """Stable answers for network inputs (n, s, s, 3), from all their versions.

        Parameters
        ----------
        own : (n, k) probabilities of the inputs themselves, which are the first version.
        """
        others = np.concatenate([versions_of(pixels, number) for number in range(1, self.card.inputs)])
        size = min(self.images_per_run, self.card.network.batch)
        parts = (others[start : start + size] for start in range(0, len(others), size))
        rows = [answer.probabilities for part in parts for answer in self.answers(part, False)]
        return decision.combined(self.card, np.concatenate([own[None], np.array(rows).reshape(-1, *own.shape)]))

    @final
    def prediction_of(self, item: Input, answer: Answer | None, unstable: bool = False) -> Prediction:
        """The prediction for one input.

        Parameters
        ----------
        answer : the network's; ``None`` if ``item`` has no pixels.
        unstable : whether the versions of the network input disagree.
        """
        found = self._prediction_of(item, answer, unstable)
        return found if item.marks is None else replace(found, marks=item.marks)

    def _prediction_of(self, item: Input, answer: Answer | None, unstable: bool) -> Prediction:
        if item.error is not None:
            return decision.unreadable(item.error, item.name)
        if answer is None:
            assert item.seen is not None
            return decision.without_face(item.seen, item.name)
        prediction = decision.prediction_of(
            self.card, answer.probabilities, answer.novelty, answer.heat, item.name, unstable
        )
        return prediction if item.seen is None else decision.of_face(prediction, item.seen)

    def _judged(self, pixels: NDArray[np.uint8], heat: bool) -> list[tuple[Answer, bool]]:
        """The answer for each network input (n, s, s, 3), and whether its versions disagree.

        Novelty and heat are of the input itself, probabilities of all its versions.
        """
        own = self.answers(pixels, heat)
        if self.card.inputs == 1:
            return [(answer, False) for answer in own]
        found = self.combined(pixels, np.array([answer.probabilities for answer in own]))
        rows = zip(own, found.p, found.unstable, strict=True)
        return [(answer._replace(probabilities=p), bool(unstable)) for answer, p, unstable in rows]

    def _predictions(self, inputs: Sequence[Input], heat: bool) -> list[Prediction]:
        """Predictions for at most one batch; unreadable images get a prediction with ``error``."""
        readable = [item.pixels for item in inputs if item.pixels is not None]
        answers = iter(self._judged(np.stack(readable), heat) if readable else [])
        found = []
        for item in inputs:
            answer, unstable = (None, False) if item.pixels is None else next(answers)
            found.append(self.prediction_of(item, answer, unstable))
        return found


def _expanded(images: Images) -> Iterator[ImageInput]:
    """The images one by one; a folder is replaced by the image files below it."""
    for image in each(images):
        if isinstance(image, str | os.PathLike):
            yield from expand(Path(image))
        else:
            yield image
