"""OpenVINO, where it is installed, imported without its telemetry."""

from __future__ import annotations

import importlib
import sys
from importlib.util import find_spec
from typing import Any

TELEMETRY = "openvino_telemetry"
"""The package that would send an event to OpenVINO's makers on import."""


def installed() -> bool:
    """Whether the package is there."""
    return find_spec("openvino") is not None


def openvino() -> Any:
    """The package, imported without its telemetry: importing it would send an event to its makers."""
    if "openvino" not in sys.modules and TELEMETRY not in sys.modules:
        sys.modules[TELEMETRY] = None  # type: ignore[assignment]
        try:
            importlib.import_module("openvino")
        finally:
            del sys.modules[TELEMETRY]
    return importlib.import_module("openvino")
