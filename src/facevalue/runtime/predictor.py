"""A model folder opened for use: image files in, predictions out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, final

import numpy as np
from numpy.typing import NDArray

from facevalue import decision
from facevalue.errors import ImageError, ImageTooLargeError, ModelFolderError
from facevalue.evidence.card import ONNX, ModelCard
from facevalue.images import decoding
from facevalue.runtime.image_files import expand
from facevalue.support import machine
from facevalue.types import Prediction

BATCH = 8
"""Images for one run of the network. ONNX Runtime is quickest at 4 to 8, and memory stays small."""

PathLike = str | os.PathLike[str]
Input = PathLike | bytes

T = TypeVar("T")


def open_folder(folder: PathLike, *, max_pixels: int | None = None) -> Predictor:
    """Open a model folder.

    Parameters
    ----------
    folder : as ``train`` wrote it; its ``card.json`` and ``model.onnx`` are read, and the latter's SHA-256 is checked.
    max_pixels : images with more are not decoded; :func:`facevalue.images.decoding.pixel_limit` by default.

    Raises
    ------
    ModelFolderError
        The folder or a file in it is missing, altered, damaged, or not for this version.
    """
    folder = Path(folder)
    card = ModelCard.load(folder)
    return Predictor(card, card.checked_file(folder, ONNX), max_pixels=max_pixels)


@final
class Predictor:
    """A network in ONNX Runtime and the card that says how its answers become predictions. Safe to share by threads.

    Parameters
    ----------
    card : classes, preprocessing, threshold and abstention limits.
    model : the exported network: ``pixels`` uint8 (n, s, s, 3) RGB to ``logits``, ``probabilities``, ``novelty`` and,
        where the network is pooled, ``heat``.
    max_pixels : images with more are not decoded.

    Raises
    ------
    ModelFolderError
        ``model`` is not a network that ONNX Runtime can run, or not one for this card.
    """

    def __init__(self, card: ModelCard, model: Path, *, max_pixels: int | None = None) -> None:
        self.card = card
        self.max_pixels = max_pixels
        self._session = _session(model)
        self._outputs = [output.name for output in self._session.get_outputs()]
        side = card.preprocessing.size
        if [[i.name, i.type, i.shape[1:]] for i in self._session.get_inputs()] != [
            ["pixels", "tensor(uint8)", [side, side, 3]]
        ] or not {"probabilities", "novelty"} <= set(self._outputs):
            raise ModelFolderError(f"{model} is not a network for {side} x {side} images that facevalue exported")

    @property
    def has_heat(self) -> bool:
        """Whether the network can say what in an image spoke for its answer."""
        return "heat" in self._outputs

    def predict(self, inputs: Input | Iterable[Input], *, heat: bool = False) -> Iterator[Prediction]:
        """Predictions for files, folders (all image files below, sorted) and bytes, in order.

        Images are read and decoded ahead by threads while the network works; memory stays flat however many there
        are. A file that is no readable image gets a prediction with ``error`` set.

        Parameters
        ----------
        inputs : paths or bytes of image files, one or many.
        heat : also give :attr:`Prediction.heat`, where the network has it.
        """
        given: Iterable[Input] = [inputs] if isinstance(inputs, bytes | str | os.PathLike) else inputs
        return self._all(self._read, (source for one in given for source in _sources(one)), heat)

    def predict_files(self, paths: Iterable[PathLike], *, heat: bool = False) -> Iterator[Prediction]:
        """One prediction for each path, in order. A folder is not expanded: it is an unreadable file."""
        return self._all(self._read, map(Path, paths), heat)

    def predict_named(self, named: Iterable[tuple[str | None, bytes]], *, heat: bool = False) -> Iterator[Prediction]:
        """One prediction for each pair of a name, which is only handed on as ``path``, and an image file's bytes."""
        return self._all(lambda pair: self._decode(pair[1], pair[0]), named, heat)

    def _all(self, read: Callable[[T], _Input], sources: Iterable[T], heat: bool) -> Iterator[Prediction]:
        size = min(BATCH, self.card.network.batch)
        pixels = machine.in_order(read, sources, ahead=4 * BATCH)
        while batch := list(islice(pixels, size)):
            yield from self._judge(batch, heat)

    def predict_bytes(self, data: bytes, path: str | None = None, *, heat: bool = False) -> Prediction:
        """The prediction on one image file's bytes; ``path`` is only handed on."""
        return self._judge([self._decode(data, path)], heat)[0]

    def _read(self, source: Path | bytes) -> _Input:
        if isinstance(source, bytes):
            return self._decode(source, None)
        try:
            data = decoding.read_bytes(source)
        except ImageError as error:
            return _Input(str(source), None, error)
        return self._decode(data, str(source))

    def _decode(self, data: bytes, path: str | None) -> _Input:
        try:
            return _Input(path, self.card.preprocessing.read(data, self.max_pixels), None)
        except ImageError as error:
            return _Input(path, None, error)

    def _judge(self, inputs: Sequence[_Input], heat: bool) -> list[Prediction]:
        """Predictions on at most a batch of network inputs; the unreadable pass through."""
        readable = [item.pixels for item in inputs if item.pixels is not None]
        answers = iter(self._run(np.stack(readable), heat) if readable else [])
        return [
            Prediction(
                label=None,
                probabilities={},
                path=item.path,
                error=str(item.error),
                too_large=isinstance(item.error, ImageTooLargeError),
            )
            if item.pixels is None
            else self._prediction(item.path, *next(answers))
            for item in inputs
        ]

    def _run(self, batch: NDArray[np.uint8], heat: bool) -> Iterator[tuple[Any, Any, Any]]:
        """Probabilities (k,), novelty () and heat (h, w) or None for each of (n, s, s, 3) images."""
        names = ["probabilities", "novelty"] + (["heat"] if heat and self.has_heat else [])
        found: list[NDArray[np.float32]] = self._session.run(names, {"pixels": batch})
        return zip(found[0], found[1], found[2] if len(found) == 3 else [None] * len(batch), strict=True)

    def _prediction(
        self, path: str | None, p: NDArray[np.float32], distance: np.float32, heat: NDArray[np.float32] | None
    ) -> Prediction:
        card, limit = self.card, self.card.abstention.novelty
        winner = int(decision.decide(p[None], card.positive_index, card.threshold)[0])
        masks = decision.abstentions(card.abstention, p[winner : winner + 1], np.array([distance]))
        reasons = tuple(reason for reason, mask in masks.items() if mask[0])
        leaning = card.classes[winner]
        return Prediction(
            label=None if reasons else leaning,
            probabilities={label: float(value) for label, value in zip(card.classes, p, strict=True)},
            threshold=None if card.positive is None else card.threshold,
            reasons=reasons,
            novelty=None if limit is None else float(distance) / limit,
            leaning=leaning,
            heat=None if heat is None else _scaled(heat),
            path=path,
        )


@final
class _Input(NamedTuple):
    """One image on its way: the network input, or why there is none."""

    path: str | None
    pixels: NDArray[np.uint8] | None
    error: ImageError | None


def _sources(one: Input) -> Iterator[Path | bytes]:
    if isinstance(one, bytes):
        yield one
    else:
        yield from expand(Path(one))


def _scaled(heat: NDArray[np.float32]) -> NDArray[np.float32]:
    """(h, w) in [0, 1]; all zero where nothing spoke for the class."""
    top = float(heat.max())
    return heat / np.float32(top) if top > 0 else np.zeros_like(heat)


def _session(model: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = machine.threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what goes wrong is said below, in one line
    # Waiting threads sleep: spinning takes the processor from the threads that decode the next images.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors have no common base but Exception
        text = " ".join(str(error).split())[:200]
        raise ModelFolderError(f"{model} cannot be run: {text}") from error
