"""ONNX Runtime, imported without its telemetry."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

SWITCH = "ORT_DISABLE_TELEMETRY"
"""Read once, when ONNX Runtime is imported."""


def onnxruntime() -> Any:
    """The package, started without its telemetry.

    The official builds send facts of the machine and of each network, such as its file's name and hashes, to their
    makers. A program that has imported the package before has decided for itself, and so has a user who set
    :data:`SWITCH`.
    """
    if "onnxruntime" in sys.modules or SWITCH in os.environ:
        return importlib.import_module("onnxruntime")
    os.environ[SWITCH] = "1"
    try:
        return importlib.import_module("onnxruntime")
    finally:
        del os.environ[SWITCH]
