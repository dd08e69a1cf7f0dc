"""The export targets: one small file each. A new one is one file and one line in :data:`EXPORTERS`."""

from __future__ import annotations

from facevalue.errors import UsageError
from facevalue.export.base import Exporter
from facevalue.export.onnx import OnnxExporter

EXPORTERS: dict[str, Exporter] = {exporter.name: exporter for exporter in (OnnxExporter(),)}


def find(name: str) -> Exporter:
    """The exporter of this name.

    Raises
    ------
    UsageError
        There is none; the message lists those there are.
    """
    if name not in EXPORTERS:
        raise UsageError(f"there is no export target {name!r}; there are: {', '.join(EXPORTERS)}")
    return EXPORTERS[name]


__all__ = ["EXPORTERS", "Exporter", "find"]
