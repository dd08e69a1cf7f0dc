"""OpenVINO export: a folder with ``model.xml`` and ``model.bin``, for Intel's and other x86 processors."""

from __future__ import annotations

import importlib.util
import json
import sys
import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from facevalue.errors import MissingExtraError
from facevalue.evidence.card import ModelCard
from facevalue.export import openvino_program, programs
from facevalue.export.base import Exporter, Pixels, Precision, Runtime
from facevalue.export.int8 import Operation, eight_bit
from facevalue.export.onnx import OnnxExporter, facts
from facevalue.models.classifier import Classifier
from facevalue.support import machine
from facevalue.support.openvino import compiled, openvino

XML = "model.xml"
_NAMES = "facevalue"  # where the card's facts are in the file's runtime information
_LAYERS = ("Convolution", "GroupConvolution", "MatMul")
_CONSTANT = ("Constant", "Convert", "Reshape", "FakeQuantize", "Multiply", "Subtract", "Transpose", "Unsqueeze")


@final
class OpenvinoExporter(Exporter):
    """``model.xml`` and ``model.bin``. ``bf16`` is the file of ``fp32``, computed in bfloat16.

    OpenVINO computes in bfloat16 by itself where the processor can, so whoever opens the file must ask for float32.
    """

    name: ClassVar[str] = "openvino"
    precisions: ClassVar[tuple[Precision, ...]] = ("fp32", "bf16", "int8")
    folder: ClassVar[bool] = True
    mark: ClassVar[str] = XML

    def missing(self, precision: Precision) -> str | None:
        """OpenVINO is an extra; bfloat16 needs a processor that has it."""
        for package in ("openvino", *(("nncf",) if precision == "int8" else ())):
            if importlib.util.find_spec(package) is None:
                return str(MissingExtraError(package, "openvino"))
        if precision == "bf16" and "BF16" not in _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            return f"this processor ({machine.processor()}) has no bfloat16; choose `precision` fp32 or int8"
        return None

    def write(
        self, classifier: Classifier, path: Path, precision: Precision = "fp32", calibration: Pixels | None = None
    ) -> Mapping[str, str]:
        """Read the ONNX graph, add the card's facts, quantise it if asked, and save it without compression."""
        ov = openvino()
        with tempfile.TemporaryDirectory(prefix="facevalue-") as folder:
            graph, whole, ranges, floating = (
                Path(folder) / name for name in ("graph.onnx", XML, "pixels.npy", "float.json")
            )
            versions = dict(OnnxExporter().write(classifier, graph))
            model = _core().read_model(graph)
            for name, value in facts(classifier.card).items():
                model.set_rt_info(value, [_NAMES, name])
            versions["openvino"] = version("openvino")
            if calibration is None:
                ov.save_model(model, path / XML, compress_to_fp16=False)
                return versions
            ov.save_model(model, whole, compress_to_fp16=False)
            np.save(ranges, calibration)
            floating.write_text(json.dumps(_floating(model, len(classifier.classes))), encoding="utf-8")
            arguments = ("quantise", whole, path / XML, ranges, floating)
            return versions | programs.run(sys.executable, openvino_program, *arguments)

    def open(self, card: ModelCard, path: Path, precision: Precision) -> Runtime:
        """Compile it for this processor at the precision asked for."""
        network = compiled_model(path / XML, "bf16" if precision == "bf16" else "f32")
        names = [output.any_name for output in network.outputs]

        def run(pixels: Pixels) -> dict[str, NDArray[np.floating]]:
            found = network(pixels)
            return {name: np.array(found[name]) for name in names}

        return Runtime(run, {"openvino": version("openvino")})


def compiled_model(xml: Path, precision: str) -> Any:
    """The model for this processor, in ``f32`` or ``bf16``, with the threads that this process may use."""
    core = _core()
    return compiled(core, core.read_model(xml), precision, machine.threads(), 1)


def _core() -> Any:
    return openvino().Core()


def _floating(model: Any, classes: int) -> list[str]:
    """Names of the operations that stay float."""
    operations = [_operation(each) for each in model.get_ordered_ops()]
    logits = next(output for output in model.outputs if "logits" in output.names)
    may = eight_bit(operations, _tensor(logits.get_node().input_value(0)), classes)
    return [operation.name for operation in operations if operation.name not in may]


def _operation(node: Any) -> Operation:
    sources = [node.input_value(i) for i in range(node.get_input_size())]
    # Of one dimension they are a weighted sum, as of neighbours' distances.
    is_layer = node.get_type_name() in _LAYERS and _is_constant(sources[1]) and len(sources[1].get_partial_shape()) > 1
    return Operation(
        name=node.get_friendly_name(),
        inputs=tuple(_tensor(source) for source in sources),
        outputs=tuple(_tensor(node.output(i)) for i in range(node.get_output_size())),
        width=_width(node) if is_layer else None,
    )


def _width(node: Any) -> int:
    """Output channels: the last dimension of a product of matrices, the second of a convolution."""
    shape = node.get_output_partial_shape(0)
    return int(shape[-1 if node.get_type_name() == "MatMul" else 1].get_length())


def _is_constant(source: Any) -> bool:
    """Whether a tensor is computed from constants alone."""
    node = source.get_node()
    if node.get_type_name() == "Constant":
        return True
    sources = [node.input_value(i) for i in range(node.get_input_size())]
    return bool(sources) and node.get_type_name() in _CONSTANT and all(_is_constant(one) for one in sources)


def _tensor(output: Any) -> str:
    return f"{output.get_node().get_friendly_name()}:{output.get_index()}"
