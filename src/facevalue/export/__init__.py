"""The export targets. To add one, write one small file and one line in :data:`EXPORTERS`."""

from __future__ import annotations

from facevalue.export.base import Exporter
from facevalue.export.hf import HfExporter
from facevalue.export.litert import LitertExporter
from facevalue.export.onnx import OnnxExporter
from facevalue.export.openvino import OpenvinoExporter
from facevalue.export.web import WebExporter
from facevalue.support.registry import look_up

EXPORTERS: dict[str, Exporter] = {
    exporter.name: exporter
    for exporter in (OnnxExporter(), OpenvinoExporter(), LitertExporter(), HfExporter(), WebExporter())
}


def find(name: str) -> Exporter:
    """The exporter of this name.

    Raises
    ------
    UsageError
        There is none; the message lists the known names.
    """
    return look_up(EXPORTERS, name, "export target")


__all__ = ["EXPORTERS", "Exporter", "find"]
