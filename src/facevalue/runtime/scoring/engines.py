"""Asynchronous engines for many network inputs: OpenVINO where it is installed, else ONNX Runtime.

Both run one network input per request, and as many requests at a time as there are processors. On a CPU the maps of one
input stay in the processor's cache: with either engine MobileNetV2 answered 2.3 times as many images per second as in
batches of 8. And an answer does not depend on the images beside it, so a resumed run has the same rows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar, final

import numpy as np
from numpy.typing import NDArray

from facevalue.errors import MissingExtraError, UsageError
from facevalue.evidence.card import ModelCard
from facevalue.evidence.findings import finding, say
from facevalue.evidence.records import ExportReport, ParityFigures, RuntimeReport
from facevalue.runtime.base import Answer
from facevalue.support import machine
from facevalue.support.onnx_runtime import onnxruntime
from facevalue.support.openvino import compiled, for_one_image, installed, openvino

EngineChoice = Literal["auto", "openvino", "onnxruntime"]
Precision = Literal["fp32", "bf16"]

OUTPUTS = ("probabilities", "novelty")
MOST_DIFFERENCE = 1e-4
"""Largest difference of a probability from ONNX Runtime's on drawn network inputs, before OpenVINO is used."""


class Engine(ABC):
    """Runs a network on network inputs, as many at a time as there are processors.

    All calls come from one thread, which may have any number of inputs under way.

    Attributes
    ----------
    name : of the engine and its precision, without the version: ``openvino fp32``.
    """

    name: str

    @abstractmethod
    def submit(self, pixels: NDArray[np.uint8]) -> Any:
        """Begin to answer one network input (s, s, 3) uint8 RGB; returns what :meth:`result` takes, once."""

    @abstractmethod
    def result(self, submitted: Any) -> Answer:
        """The answer, once it is there."""

    @abstractmethod
    def close(self) -> None:
        """Wait for what was submitted and free the engine."""


E = TypeVar("E")


@final
class OnnxRuntime(Engine):
    """ONNX Runtime, with one thread for each request."""

    def __init__(self, model: Path) -> None:
        package = onnxruntime()
        options = package.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        self.name = "onnxruntime fp32"
        self._session = package.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        self._pool = ThreadPoolExecutor(machine.threads())

    def submit(self, pixels: NDArray[np.uint8]) -> Future[Answer]:
        return self._pool.submit(self._run, pixels)

    def result(self, submitted: Future[Answer]) -> Answer:
        return submitted.result()

    def close(self) -> None:
        self._pool.shutdown()

    def _run(self, pixels: NDArray[np.uint8]) -> Answer:
        p, novelty = self._session.run(list(OUTPUTS), {"pixels": pixels[None]})
        return Answer(p[0], float(novelty[0]), None)


@final
class _Request(NamedTuple):
    """A request of OpenVINO, and its input tensor (1, s, s, 3) as an array."""

    request: Any
    pixels: NDArray[np.uint8]


@final
class OpenVino(Engine):
    """OpenVINO, with one stream for each processor.

    Its threads never wait for Python: there are no callbacks, and several requests wait for each stream.

    Parameters
    ----------
    precision : asked for explicitly; by default OpenVINO would compute in bfloat16 where the processor can.
    """

    def __init__(self, model: Path, precision: Precision = "fp32") -> None:
        ov = openvino()
        core = ov.Core()
        threads = machine.threads()
        self.name = f"openvino {precision}"
        self._network = compiled(core, for_one_image(core, model), precision, threads, threads)
        names = [output.any_name for output in self._network.outputs]
        self._places = [names.index(name) for name in OUTPUTS]
        self._free: list[_Request] = []
        self._requests: list[_Request] = []

    def submit(self, pixels: NDArray[np.uint8]) -> _Request:
        submitted = self._free.pop() if self._free else self._new()
        submitted.pixels[0] = pixels
        submitted.request.start_async()
        return submitted

    def result(self, submitted: _Request) -> Answer:
        try:
            submitted.request.wait()
            p, novelty = (submitted.request.get_output_tensor(place).data[0] for place in self._places)
            return Answer(p.copy(), float(novelty), None)
        finally:
            self._free.append(submitted)

    def close(self) -> None:
        for one in self._requests:
            with suppress(RuntimeError):  # it failed, and whoever asked for its result was told
                one.request.wait()

    def _new(self) -> _Request:
        request = self._network.create_infer_request()
        self._requests.append(_Request(request, request.get_input_tensor(0).data))
        return self._requests[-1]


def opened(card: ModelCard, model: Path, choice: EngineChoice = "auto", precision: Precision = "fp32") -> Engine:
    """The engine to score with.

    OpenVINO is only used if its answers on drawn network inputs are ONNX Runtime's, and if the card does not say that
    it answers otherwise. ``bf16`` also needs a card that says that it answers as the model on this processor.

    Parameters
    ----------
    model : the checked ``model.onnx`` of a model folder.
    choice : ``auto`` is OpenVINO where it is installed, else ONNX Runtime.

    Raises
    ------
    UsageError
        The engine or the precision is not certified, or unknown.
    MissingExtraError
        OpenVINO is asked for and not installed.
    """
    if choice not in ("auto", "openvino", "onnxruntime"):
        raise UsageError(f"Expected `engine` to be auto, openvino, onnxruntime or ray, but got {choice!r}")

    def differs(engine: Engine) -> str | None:
        reference = OnnxRuntime(model)
        found = difference(engine.name, _probabilities(engine, drawn), _probabilities(reference, drawn))
        reference.close()
        return found

    drawn = drawn_inputs(card.preprocessing.size)
    return selected(card, choice, precision, lambda: OpenVino(model, precision), differs) or OnnxRuntime(model)


def selected(
    card: ModelCard,
    choice: EngineChoice,
    precision: Precision,
    build: Callable[[], E],
    differs: Callable[[E], str | None],
) -> E | None:
    """OpenVINO's engine where it is to be used, else ``None``, which means ONNX Runtime; see :func:`opened`.

    Parameters
    ----------
    build : makes OpenVINO's engine.
    differs : why its answers on drawn network inputs are not ONNX Runtime's.

    Raises
    ------
    UsageError
        The precision is unknown, or what is asked for is not certified.
    MissingExtraError
        OpenVINO is asked for and not installed.
    """
    if precision not in ("fp32", "bf16"):
        raise UsageError(f"Expected `precision` to be fp32 or bf16, but got {precision!r}")
    if choice == "onnxruntime" or (choice == "auto" and precision == "fp32" and not installed()):
        if precision != "fp32":
            raise UsageError(f"`engine` onnxruntime computes in fp32 only; `precision` {precision} needs openvino")
        return None
    if not installed():
        raise MissingExtraError("openvino", "openvino")
    problem = _uncertified(card, precision) if precision == "bf16" else _failed(card)
    if problem is None:
        engine = build()
        problem = None if precision == "bf16" else differs(engine)
        if problem is None:
            return engine
    if choice == "openvino" or precision != "fp32":
        raise UsageError(problem)
    say([finding("engine-answers-otherwise", f"{problem}; ONNX Runtime is used")])
    return None


def version_of(engine: Engine) -> str:
    """The version of the engine's package."""
    return version(engine.name.partition(" ")[0])


def _rows(card: ModelCard, precision: str) -> list[ParityFigures | ExportReport]:
    """What the card says of OpenVINO in this precision on this processor, the oldest first."""
    measured: Sequence[ParityFigures | ExportReport] = [
        *(row for report in card.of_kind(RuntimeReport) for row in report.runtimes),
        *card.of_kind(ExportReport),
    ]
    found = [row for row in measured if (row.target, row.precision) == ("openvino", precision)]
    return [row for row in found if row.processor == machine.processor()]


def _failed(card: ModelCard) -> str | None:
    rows = [row for row in _rows(card, "fp32") if isinstance(row, ParityFigures)]
    if not rows or rows[-1].problem is None:
        return None
    return f"the card says that openvino fp32 must not be used: {rows[-1].problem}"


def _uncertified(card: ModelCard, precision: str) -> str | None:
    rows = _rows(card, precision)
    if not rows:
        return (
            f"no figure on the card says that `precision` {precision} gives the model's answers on this processor "
            f"({machine.processor()}); run: facevalue certify-runtimes MODEL"
        )
    problem = next((row.problem for row in reversed(rows) if isinstance(row, ParityFigures)), None)
    return None if problem is None else f"the card says that openvino {precision} must not be used: {problem}"


def difference(name: str, p: NDArray[np.floating], reference: NDArray[np.floating]) -> str | None:
    """Why an engine must not be used for a network here, from its probabilities of :func:`drawn_inputs`."""
    most = float(np.abs(p - reference).max())
    if most <= MOST_DIFFERENCE:
        return None
    return f"{name} differs by {most:.2g} in probability from ONNX Runtime on drawn images"


def _probabilities(engine: Engine, drawn: NDArray[np.uint8]) -> NDArray[np.floating]:
    return np.array([engine.result(engine.submit(pixels)).probabilities for pixels in drawn])


def drawn_inputs(side: int) -> NDArray[np.uint8]:
    """(4, s, s, 3) network inputs: noise, two ramps, and grey."""
    ramp = np.broadcast_to(np.linspace(0, 255, side).astype(np.uint8)[:, None, None], (side, side, 3))
    noise = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    return np.stack([noise, ramp, ramp.transpose(1, 0, 2), np.full_like(noise, 128)])
