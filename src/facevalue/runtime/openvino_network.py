"""A model folder's network in OpenVINO, for batches of a few images that are wanted soon."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from facevalue.errors import UsageError
from facevalue.evidence.card import ModelCard
from facevalue.runtime.scoring import engines
from facevalue.runtime.scoring.engines import EngineChoice, Precision
from facevalue.support import machine
from facevalue.support.openvino import compiled, for_one_image, openvino


@final
class OpenVinoNetwork:
    """Runs a network, as ONNX Runtime's ``InferenceSession.run`` does. Thread-safe; runs share the processors.

    Every image is a request of its own. An image that finds the network idle is computed by all processors together;
    otherwise each is computed by one processor, which gives more images per second on a CPU (see
    :mod:`facevalue.runtime.scoring.engines`). For that the network is compiled twice, and needs twice the memory.

    Parameters
    ----------
    precision : asked for explicitly; by default OpenVINO would compute in bfloat16 where the processor can.
    """

    def __init__(self, model: Path, precision: Precision = "fp32") -> None:
        ov = openvino()
        core = ov.Core()
        network = for_one_image(core, model)
        threads = machine.threads()
        self.name = f"openvino {precision}"
        self._lock = threading.Lock()
        self._runs = 0
        together = compiled(core, network, precision, threads, 1)
        apart = compiled(core, network, precision, threads, threads) if threads > 1 else together
        # OpenVINO gives a tensor without the work of its last steps several names.
        self._places = {name: i for i, output in enumerate(together.outputs) for name in output.names}
        self._alone = together.create_infer_request()
        self._free: SimpleQueue[Any] = SimpleQueue()
        for _ in range(threads):
            self._free.put(apart.create_infer_request())

    def run(self, names: Sequence[str], feeds: Mapping[str, NDArray[np.uint8]]) -> list[NDArray[np.float32]]:
        """The outputs ``names`` for network inputs (n, s, s, 3) uint8, each with a row per image."""
        pixels = feeds["pixels"]
        with self._lock:
            idle = self._runs == 0
            self._runs += 1
        try:
            if idle and len(pixels) == 1:
                self._alone.infer({0: pixels})
                return [self._output(self._alone, name) for name in names]
            rows: list[list[NDArray[np.float32]]] = []
            while len(rows) < len(pixels):
                rows += self._side_by_side(pixels[len(rows) :], names)
        finally:
            with self._lock:
                self._runs -= 1
        return [np.concatenate(column) for column in zip(*rows, strict=True)]

    def _side_by_side(self, pixels: NDArray[np.uint8], names: Sequence[str]) -> list[list[NDArray[np.float32]]]:
        """The outputs of as many of the images as there are free requests, at least one."""
        taken = [self._free.get()]
        try:
            while len(taken) < len(pixels):
                taken.append(self._free.get_nowait())
        except Empty:
            pass
        begun: list[Any] = []
        try:
            for request, one in zip(taken, pixels[: len(taken)], strict=True):
                request.start_async({0: one[None]})
                begun.append(request)
            for request in taken:
                request.wait()
            return [[self._output(request, name) for name in names] for request in taken]
        finally:
            for request in begun:  # one that failed must not leave the others under way
                with suppress(RuntimeError):
                    request.wait()
            for request in taken:
                self._free.put(request)

    def _output(self, request: Any, name: str) -> NDArray[np.float32]:
        found: NDArray[np.float32] = request.get_output_tensor(self._places[name]).data.copy()
        return found


def network_of(
    card: ModelCard, model: Path, session: Any, choice: EngineChoice, precision: Precision
) -> OpenVinoNetwork | None:
    """OpenVINO's network where it is to be used, else ``None``; see :func:`facevalue.runtime.open_folder`.

    Parameters
    ----------
    session : the same network in ONNX Runtime, which OpenVINO's answers are compared with.
    """
    if choice not in ("auto", "openvino", "onnxruntime"):
        raise UsageError(f"Expected `engine` to be auto, openvino or onnxruntime, but got {choice!r}")

    def differs(network: OpenVinoNetwork) -> str | None:
        both = [np.concatenate([p(run, drawn[:1]), p(run, drawn[1:])]) for run in (network.run, session.run)]
        return engines.difference(network.name, *both)

    def p(run: Any, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        found: NDArray[np.float32] = run(["probabilities"], {"pixels": pixels})[0]
        return found

    drawn = engines.drawn_inputs(card.preprocessing.size)
    return engines.selected(card, choice, precision, lambda: OpenVinoNetwork(model, precision), differs)
