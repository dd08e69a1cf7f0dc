"""Replaces paddings that an ONNX graph computes at every run by constants."""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray

from facevalue.support.onnx_runtime import onnxruntime


def with_constant_pads(model: onnx.ModelProto, batches: tuple[NDArray[np.uint8], NDArray[np.uint8]]) -> onnx.ModelProto:
    """The graph with a constant for every padding that does not depend on the input.

    Networks with TensorFlow's 'same' padding compute their paddings from the image size. A recorded graph repeats
    that at every run, and ONNX Runtime then cannot merge the paddings into the convolutions.

    Parameters
    ----------
    model : with one input, ``pixels``; changed in place.
    batches : two inputs of different batch size; a padding that differs between them is left unchanged.
    """
    graph = model.graph
    makers = {output: node for node in graph.node for output in node.output}
    pads = {node.input[1] for node in graph.node if node.op_type == "Pad" and len(node.input) > 1}
    names = sorted(name for name in pads if name in makers and makers[name].op_type != "Constant")
    if not names:
        return model
    for name, one, other in zip(names, *(_values(model, names, batch) for batch in batches), strict=True):
        if np.array_equal(one, other):
            graph.node.remove(makers[name])
            graph.initializer.append(onnx.numpy_helper.from_array(one, name))
    _prune(graph)
    return model


def _values(model: onnx.ModelProto, names: list[str], batch: NDArray[np.uint8]) -> list[NDArray[np.int64]]:
    """Values of the tensors of these names when the graph runs on ``batch``."""
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    del probe.graph.output[:]
    probe.graph.output.extend(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.INT64, None) for name in names)
    _prune(probe.graph)
    package = onnxruntime()
    options = package.SessionOptions()
    options.log_severity_level = 4
    session = package.InferenceSession(probe.SerializeToString(), options, providers=["CPUExecutionProvider"])
    found: list[NDArray[np.int64]] = session.run(names, {"pixels": batch})
    return found


def _prune(graph: onnx.GraphProto) -> None:
    """Remove the nodes and weights that no output needs. Nodes are in topological order, as ONNX requires."""
    needed = {output.name for output in graph.output}
    # By place: ``remove`` compares messages, which takes half a minute for a wide network.
    for place in reversed(range(len(graph.node))):
        node = graph.node[place]
        if needed.isdisjoint(node.output):
            del graph.node[place]
        else:
            needed.update(node.input)
    for place in reversed(range(len(graph.initializer))):
        if graph.initializer[place].name not in needed:
            del graph.initializer[place]
