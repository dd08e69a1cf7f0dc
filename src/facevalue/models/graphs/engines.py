"""Engines that run a recorded graph with one output on the CPU: OpenVINO where it is installed, else ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facevalue.support import machine
from facevalue.support.onnx_runtime import onnxruntime
from facevalue.support.openvino import compiled, for_one_image, installed, openvino

Run = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""Network inputs (n, s, s, 3) uint8 to the output (n, …)."""


@dataclass(frozen=True)
class Engine:
    """A graph that is ready to run.

    Attributes
    ----------
    name : of the engine, with its version.
    run : thread-safe only if each call is made after the last has returned.
    """

    name: str
    run: Run


def opened(graph: bytes) -> Engine:
    """An engine with this ONNX graph, whose input is ``pixels``; the fastest one that is installed.

    Both compute in single precision and with the threads that this process may use.
    """
    return _in_openvino(graph) if installed() else _in_onnxruntime(graph)


def _in_onnxruntime(graph: bytes) -> Engine:
    package = onnxruntime()
    options = package.SessionOptions()
    options.intra_op_num_threads = machine.threads()
    session = package.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def run(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        found: NDArray[np.float32] = session.run(None, {"pixels": pixels})[0]
        return found

    return Engine(f"onnxruntime {version('onnxruntime')}", run)


def _in_openvino(graph: bytes) -> Engine:
    """One image at a time on each core: its maps stay in the core's cache, which is faster than batches."""
    ov, threads = openvino(), machine.threads()
    core = ov.Core()
    # The network must not outlive the queue: destroyed last, it waits for a thread that waits for Python.
    requests = ov.AsyncInferQueue(compiled(core, for_one_image(core, graph), "fp32", threads, threads), threads)

    def run(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        found: list[NDArray[np.float32]] = [np.empty(0, np.float32)] * len(pixels)

        def keep(request: Any, place: int) -> None:
            found[place] = request.get_output_tensor(0).data[0].copy()

        requests.set_callback(keep)
        for place in range(len(pixels)):
            requests.start_async({0: pixels[place : place + 1]}, place, share_inputs=True)
        requests.wait_all()
        return np.stack(found)

    return Engine(f"openvino {version('openvino')}", run)
