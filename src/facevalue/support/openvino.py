"""OpenVINO, where it is installed, imported without its telemetry."""

from __future__ import annotations

import importlib
import sys
import threading
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

TELEMETRY = "openvino_telemetry"
"""The package that would send an event to OpenVINO's makers on import."""

_first = threading.Lock()


def installed() -> bool:
    """Whether the package is there."""
    return find_spec("openvino") is not None


def openvino() -> Any:
    """The package, imported without its telemetry: importing it would send an event to its makers."""
    with _first:
        if "openvino" not in sys.modules and TELEMETRY not in sys.modules:
            sys.modules[TELEMETRY] = None  # type: ignore[assignment]
            try:
                importlib.import_module("openvino")
            finally:
                del sys.modules[TELEMETRY]
        package = importlib.import_module("openvino")
        # If two threads are the first to hand it an array, both wait for ever (2026.4.1): one waits for Python's lock
        # in the initialisation of a C++ variable, and the other one has that lock and waits for the variable.
        package.Tensor(np.zeros(1, np.uint8))
        return package


def for_one_image(core: Any, model: Path | bytes) -> Any:
    """A network read from a file or its bytes, for one network input per request."""
    network = core.read_model(model)
    shape = network.input(0).partial_shape
    shape[0] = 1
    network.reshape(shape)
    return network


def compiled(core: Any, network: Any, precision: str, threads: int, streams: int) -> Any:
    """A network for this processor. The precision is named: by default OpenVINO computes in bfloat16 where it can."""
    settings = {
        "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": streams,
    }
    return core.compile_model(network, "CPU", settings)
