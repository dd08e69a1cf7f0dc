"""One small network in closed form, as ``model.onnx`` and as ``model.tflite``, made without a converter.

It looks at the mean colour alone: logits = WEIGHT · mean + BIAS, novelty = the squared distance of the mean from
CENTRE, times 10. The heat is the mean brightness of each of 4 x 4 fields.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from facevalue.evidence.card import ONNX, Abstention, ModelCard, NetworkFacts
from facevalue.images.preprocessing import Preprocessing
from facevalue.support import files

SIDE, FIELDS = 32, 4
CLASSES = ("warm", "cold")
WEIGHT = np.array([[9.0, 0.0, -9.0], [-9.0, 0.0, 9.0]], np.float32)
BIAS = np.array([0.3, -0.3], np.float32)
CENTRE = np.array([0.5, 0.5, 0.5], np.float32)
FIELD = SIDE // FIELDS


def write_model(folder: Path, abstention: Abstention | None = None, **fields: Any) -> ModelCard:
    """A model folder for the runtime: card and ``model.onnx``."""
    folder.mkdir(parents=True)
    write_onnx(folder / ONNX)
    card = ModelCard(
        classes=CLASSES,
        positive="warm",
        preprocessing=Preprocessing(size=SIDE),
        network=NetworkFacts(name="mean-colour", pooled=True),
        abstention=abstention or Abstention(confidence=0.6, novelty=2.0),
        files={ONNX: files.sha256(folder / ONNX)},
        **fields,
    )
    card.save(folder)
    return card


def answer(pixels: np.ndarray) -> tuple[np.ndarray, float]:
    """Probabilities and novelty of a network input, by hand."""
    mean = pixels.reshape(-1, 3).mean(0) / 255
    logits = WEIGHT @ mean + BIAS
    p = np.exp(logits - logits.max())
    return p / p.sum(), float(10 * ((mean - CENTRE) ** 2).sum())


def write_onnx(path: Path) -> None:
    """For ONNX Runtime."""
    from onnx import TensorProto, helper, numpy_helper, save

    def constant(name: str, value: np.ndarray) -> Any:
        return numpy_helper.from_array(value, name)

    nodes = [
        helper.make_node("Cast", ["pixels"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["float", "scale"], ["x"]),
        helper.make_node("ReduceMean", ["x", "space"], ["mean"], keepdims=0),
        helper.make_node("Gemm", ["mean", "weight", "bias"], ["logits"], transB=1),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        helper.make_node("Sub", ["mean", "centre"], ["away"]),
        helper.make_node("Mul", ["away", "away"], ["squared"]),
        helper.make_node("ReduceSum", ["squared", "last"], ["distance"], keepdims=0),
        helper.make_node("Mul", ["distance", "ten"], ["novelty"]),
        helper.make_node("Transpose", ["x"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("AveragePool", ["planes"], ["fields"], kernel_shape=[FIELD, FIELD], strides=[FIELD, FIELD]),
        helper.make_node("ReduceMean", ["fields", "channels"], ["heat"], keepdims=0),
    ]
    constants = [
        constant("scale", np.float32([1 / 255])),
        constant("space", np.int64([1, 2])),
        constant("channels", np.int64([1])),
        constant("last", np.int64([1])),
        constant("weight", WEIGHT),
        constant("bias", BIAS),
        constant("centre", CENTRE),
        constant("ten", np.float32([10])),
    ]
    shapes = {"logits": ["n", 2], "probabilities": ["n", 2], "novelty": ["n"], "heat": ["n", FIELDS, FIELDS]}
    graph = helper.make_graph(
        nodes,
        "mean-colour",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["n", SIDE, SIDE, 3])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()],
        constants,
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), str(path))


def write_tflite(path: Path, bias: np.ndarray = BIAS) -> None:
    """For LiteRT, with its own schema. Another ``bias`` gives a network that answers otherwise."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model, graph = schema.ModelT(), schema.SubGraphT()
    model.version, model.subgraphs, model.buffers = 3, [graph], [schema.BufferT()]
    model.operatorCodes, model.signatureDefs = [], []
    graph.tensors, graph.operators = [], []
    kinds = {np.dtype(np.float32): schema.TensorType.FLOAT32, np.dtype(np.int32): schema.TensorType.INT32}
    kinds[np.dtype(np.uint8)] = schema.TensorType.UINT8

    def tensor(name: str, shape: tuple[int, ...], value: np.ndarray | None = None, kind: Any = np.float32) -> int:
        made = schema.TensorT()
        made.name, made.shape = name, np.array(shape, np.int32)
        made.type, made.buffer = kinds[np.dtype(kind) if value is None else value.dtype], 0
        if value is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(value.tobytes(), np.uint8)
            model.buffers.append(buffer)
            made.buffer = len(model.buffers) - 1
        graph.tensors.append(made)
        return len(graph.tensors) - 1

    def constant(name: str, value: np.ndarray) -> int:
        return tensor(name, value.shape, value)

    def operator(name: str, inputs: list[int], output: int, kind: str, **options: Any) -> int:
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, name)
        model.operatorCodes.append(code)
        made = schema.OperatorT()
        made.opcodeIndex = len(model.operatorCodes) - 1
        made.inputs, made.outputs = np.array(inputs, np.int32), np.array([output], np.int32)
        made.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
        made.builtinOptions = getattr(schema, f"{kind}T")()
        for key, value in options.items():
            setattr(made.builtinOptions, key, value)
        graph.operators.append(made)
        return output

    pixels = tensor("pixels", (1, SIDE, SIDE, 3), kind=np.uint8)
    plain = operator("CAST", [pixels], tensor("float", (1, SIDE, SIDE, 3)), "CastOptions")
    scaled = tensor("x", (1, SIDE, SIDE, 3))
    x = operator("MUL", [plain, constant("scale", np.float32([1 / 255]))], scaled, "MulOptions")
    space = constant("space", np.int32([1, 2]))
    mean = operator("MEAN", [x, space], tensor("mean", (1, 3)), "ReducerOptions", keepDims=False)
    dense = [mean, constant("weight", WEIGHT), constant("bias", np.asarray(bias, np.float32))]
    logits = operator("FULLY_CONNECTED", dense, tensor("logits", (1, 2)), "FullyConnectedOptions")
    probabilities = operator("SOFTMAX", [logits], tensor("probabilities", (1, 2)), "SoftmaxOptions", beta=1.0)
    away = operator("SUB", [mean, constant("centre", CENTRE[None])], tensor("away", (1, 3)), "SubOptions")
    squared = operator("MUL", [away, away], tensor("squared", (1, 3)), "MulOptions")
    last = constant("last", np.int32([1]))
    distance = operator("SUM", [squared, last], tensor("distance", (1,)), "ReducerOptions", keepDims=False)
    novelty = operator("MUL", [distance, constant("ten", np.float32([10]))], tensor("novelty", (1,)), "MulOptions")
    pool = {"strideW": FIELD, "strideH": FIELD, "filterWidth": FIELD, "filterHeight": FIELD}
    pool["padding"] = schema.Padding.VALID
    fields = operator("AVERAGE_POOL_2D", [x], tensor("fields", (1, FIELDS, FIELDS, 3)), "Pool2DOptions", **pool)
    channels = constant("channels", np.int32([3]))
    heat_shape = (1, FIELDS, FIELDS)
    heat = operator("MEAN", [fields, channels], tensor("heat", heat_shape), "ReducerOptions", keepDims=False)

    outputs = {"logits": logits, "probabilities": probabilities, "novelty": novelty, "heat": heat}
    graph.inputs, graph.outputs = np.array([pixels], np.int32), np.array(list(outputs.values()), np.int32)
    signature = schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = "serving_default", 0
    signature.inputs = [_named(schema, "pixels", pixels)]
    signature.outputs = [_named(schema, name, place) for name, place in outputs.items()]
    model.signatureDefs = [signature]
    builder = flatbuffers.Builder(4096)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(bytes(builder.Output()))


def _named(schema: Any, name: str, place: int) -> Any:
    made = schema.TensorMapT()
    made.name, made.tensorIndex = name, place
    return made
