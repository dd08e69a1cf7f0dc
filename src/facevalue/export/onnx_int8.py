"""8-bit ONNX graphs: static quantisation with QDQ nodes, as ONNX Runtime computes them fastest."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from facevalue.export.int8 import Operation, eight_bit
from facevalue.support import machine
from facevalue.support.onnx_runtime import onnxruntime

_BATCH = 8

# Layers with weights, and what stands between them. Products of two activations, as in attention, stay float.
_LAYERS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
_BETWEEN = ("Add", "AveragePool", "Concat", "GlobalAveragePool", "MaxPool", "Mul", "Pad", "Relu", "Clip")


def quantised(model: onnx.ModelProto, calibration: NDArray[np.uint8], classes: int) -> onnx.ModelProto:
    """The graph with 8-bit layers: activations QUInt8, weights QInt8 a channel; see :func:`eight_bit`.

    Parameters
    ----------
    model : with the input ``pixels`` and the output ``logits``; changed.
    calibration : network inputs (n, s, s, 3) that the ranges are measured on.
    classes : number of logits.
    """
    onnxruntime()
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Batches(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.batches: Iterator[NDArray[np.uint8]] = (
                calibration[start : start + _BATCH] for start in range(0, len(calibration), _BATCH)
            )

        def get_next(self) -> dict[str, Any] | None:
            batch = next(self.batches, None)
            return None if batch is None else {"pixels": batch}

    _without_identities(model.graph)
    weights = {weight.name: weight for weight in model.graph.initializer}
    may = eight_bit([_operation(node, weights) for node in model.graph.node], "logits", classes)
    names = [node.name for node in model.graph.node if node.name in may and _is_eligible(node, weights)]
    with _quiet(), tempfile.TemporaryDirectory(prefix="facevalue-") as folder:
        path = Path(folder) / "int8.onnx"
        quantize_static(
            onnx.shape_inference.infer_shapes(model),
            path,
            Batches(),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=not multiplies_eight_bits(),
            op_types_to_quantize=[*_LAYERS, *_BETWEEN],
            nodes_to_quantize=names,
        )
        return onnx.load_model(str(path))


def multiplies_eight_bits() -> bool:
    """Whether this processor adds products of 8-bit numbers without overflow.

    x86 before VNNI adds pairs of products in 16 bits, which overflow; weights of 7 bits do not.
    """
    x86 = "avx2" in machine.arithmetic()
    return not x86 or any("vnni" in name for name in machine.arithmetic())


def _operation(node: onnx.NodeProto, weights: dict[str, onnx.TensorProto]) -> Operation:
    return Operation(node.name, tuple(node.input), tuple(node.output), _width(node, weights))


def _width(node: onnx.NodeProto, weights: dict[str, onnx.TensorProto]) -> int | None:
    """Output channels of a layer whose weights are constant; ``None`` for other nodes."""
    if node.op_type not in _LAYERS or len(node.input) < 2 or node.input[1] not in weights:
        return None
    shape = weights[node.input[1]].dims
    if len(shape) < 2:  # a weighted sum, as of neighbours' distances
        return None
    if node.op_type == "Conv":
        return int(shape[0])
    turned = node.op_type == "Gemm" and any(a.name == "transB" and a.i for a in node.attribute)
    return int(shape[0] if turned else shape[1])


def _is_eligible(node: onnx.NodeProto, weights: dict[str, onnx.TensorProto]) -> bool:
    return node.op_type in _BETWEEN or _width(node, weights) is not None


def _without_identities(graph: onnx.GraphProto) -> None:
    """Remove nodes that pass a weight on: the quantiser takes weights and biases only where they are constants."""
    weights = {weight.name for weight in graph.initializer}
    passed = {n.output[0]: n.input[0] for n in graph.node if n.op_type == "Identity" and n.input[0] in weights}
    for node in [node for node in graph.node if node.op_type == "Identity" and node.output[0] in passed]:
        graph.node.remove(node)
    for node in graph.node:
        for place, name in enumerate(node.input):
            node.input[place] = passed.get(name, name)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the advice to run a pre-processing that folds batch norms: recording has folded them."""
    logger = logging.getLogger()
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
