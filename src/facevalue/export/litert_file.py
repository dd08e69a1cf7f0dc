"""Read and change ``.tflite`` files, which are flatbuffers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from facevalue.export.int8 import Operation, eight_bit

METADATA = "facevalue"
"""Name of the metadata: JSON with classes, threshold and preprocessing, as in the ONNX file."""

# Layers with weights, and what stands between them. Products of two activations, as in attention, stay float.
_LAYERS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
_BETWEEN = ("ADD", "AVERAGE_POOL_2D", "CONCATENATION", "MAX_POOL_2D", "MEAN", "MUL", "PAD", "PADV2", "RELU", "RESHAPE")


def add_metadata(path: Path, text: str) -> None:
    """Add a text to the file's metadata."""
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.tools import flatbuffer_utils

    model = _read(path)
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = np.frombuffer(text.encode(), np.uint8)
    entry.name, entry.buffer = METADATA, len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or ()), entry]
    path.write_bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def metadata(path: Path) -> str | None:
    """The text that :func:`add_metadata` added; ``None`` if there is none."""
    model = _read(path)
    found = [entry.buffer for entry in model.metadata or () if entry.name.decode() == METADATA]
    return bytes(model.buffers[found[0]].data).decode() if found else None


def eight_bit_operations(path: Path, classes: int) -> dict[str, list[str]]:
    """By kind of operation, the names of the output tensors of those that may compute with 8 bits."""
    from ai_edge_litert import schema_py_generated as schema

    model = _read(path)
    # Others hold what an operation is made of.
    graph = model.subgraphs[model.signatureDefs[0].subgraphIndex]
    names = [tensor.name.decode() for tensor in graph.tensors]
    constant = [model.buffers[tensor.buffer].data is not None for tensor in graph.tensors]
    known = {code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)}
    kinds = [known[model.operatorCodes[each.opcodeIndex].builtinCode] for each in graph.operators]
    operations = []
    for number, (each, kind) in enumerate(zip(graph.operators, kinds, strict=True)):
        is_layer = kind in _LAYERS and constant[each.inputs[1]]
        operations.append(
            Operation(
                name=str(number),
                inputs=tuple(names[i] for i in each.inputs if i >= 0 and not constant[i]),
                outputs=tuple(names[i] for i in each.outputs),
                width=int(graph.tensors[each.outputs[0]].shape[-1]) if is_layer else None,
            )
        )
    logits = next(names[entry.tensorIndex] for entry in model.signatureDefs[0].outputs if entry.name == b"logits")
    may = eight_bit(operations, logits, classes)
    found: dict[str, list[str]] = {}
    for operation, kind in zip(operations, kinds, strict=True):
        if operation.name in may and (operation.width is not None or kind in _BETWEEN):
            found.setdefault(kind, []).append(";".join(operation.outputs))
    return found


def _read(path: Path) -> Any:
    from ai_edge_litert.tools import flatbuffer_utils

    return flatbuffer_utils.read_model_from_bytearray(path.read_bytes())
