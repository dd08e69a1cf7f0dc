"""A model folder's network in OpenVINO, for batches of a few images that are wanted soon."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
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
    """Runs a network, as ONNX Runtime's ``InferenceSession.run`` does. Thread-safe; one run at a time.

    Every image is a request of its own. One image alone is computed by all processors together; of several each is
    computed by one processor, which gives more images per second on a CPU (see
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
        together = compiled(core, network, precision, threads, 1)
        apart = compiled(core, network, precision, threads, threads) if threads > 1 else together
        # OpenVINO gives a tensor without the work of its last steps several names.
        self._places = {name: i for i, output in enumerate(together.outputs) for name in output.names}
        self._alone = together.create_infer_request()
        self._requests = [apart.create_infer_request() for _ in range(threads)]

    def run(self, names: Sequence[str], feeds: Mapping[str, NDArray[np.uint8]]) -> list[NDArray[np.float32]]:
        """The outputs ``names`` for network inputs (n, s, s, 3) uint8, each with a row per image."""
        pixels = feeds["pixels"]
        with self._lock:
            if len(pixels) == 1:
                self._alone.infer({0: pixels})
                return [self._output(self._alone, name) for name in names]
            rows = []
            for start in range(0, len(pixels), len(self._requests)):
                part = pixels[start : start + len(self._requests)]
                busy = self._requests[: len(part)]
                for request, one in zip(busy, part, strict=True):
                    request.start_async({0: one[None]})
                for request in busy:
                    request.wait()
                    rows.append([self._output(request, name) for name in names])
        return [np.concatenate(column) for column in zip(*rows, strict=True)]

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
