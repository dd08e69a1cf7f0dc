"""A detector for drawn faces, with the inputs and outputs of YuNet, so that most tests need no downloaded file.

A face is a red dot: its box is 48 x 64 pixels around the dot, at the scale at which the image is looked at.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image, ImageDraw

from facevalue.evidence.card import ModelCard
from facevalue.evidence.gate_facts import DETECTOR, GateFacts
from facevalue.faces.gate import FaceGate
from facevalue.faces.yunet import STRIDES, YuNet
from facevalue.images.preprocessing import Preprocessing
from facevalue.models.classifier import Classifier, load

from ..runtime.model_folders import write_model

WIDTH, HEIGHT = 48, 64
KPS = np.array([[-12, -12], [12, -12], [0, 0], [-9, 14], [9, 14]]) / 8
"""Landmarks of a frontal face relative to the dot, in cells of 8 pixels."""


@lru_cache(maxsize=1)
def detector() -> bytes:
    """The network: a cell of 8 pixels with red in it is a face, with a score by how red; other grids find nothing."""
    nodes, outputs, constants = [], [], []

    def constant(name: str, value: object, kind: type = np.float32) -> str:
        constants.append(numpy_helper.from_array(np.asarray(value, kind), name))
        return name

    def node(kind: str, inputs: list[str], out: str, **attributes: object) -> str:
        nodes.append(helper.make_node(kind, inputs, [out], **attributes))
        return out

    blue, green, red = (f"channel_{i}" for i in range(3))
    nodes.append(helper.make_node("Split", ["input"], [blue, green, red], axis=1))
    others = node("Max", [blue, green], "others")
    redness = node("Relu", [node("Sub", [red, others], "difference")], "redness")
    shade = node("Div", [redness, constant("top", 255.0)], "shade")
    for stride in STRIDES:
        cells = node("MaxPool", [shade], f"cells_{stride}", kernel_shape=[stride, stride], strides=[stride, stride])
        rows = node("Reshape", [cells, constant(f"rows_{stride}", [1, -1, 1], np.int64)], f"flat_{stride}")
        seen = node("Mul", [rows, constant(f"on_{stride}", 1.0 if stride == 8 else 0.0)], f"cls_{stride}")
        node("Identity", [seen], f"obj_{stride}")
        zero = node("Mul", [rows, constant(f"zero_{stride}", 0.0)], f"zeros_{stride}")
        box = [0.5, 0.5, np.log(WIDTH / 8), np.log(HEIGHT / 8)]
        node("Add", [zero, constant(f"box_{stride}", [[box]])], f"bbox_{stride}")
        node("Add", [zero, constant(f"points_{stride}", [[(KPS + 0.5).ravel()]])], f"kps_{stride}")
        for kind, n in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)):
            name = f"{kind}_{stride}"
            outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, "anchors", n]))
    x = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, "height", "width"])
    graph = helper.make_graph(nodes, "drawn faces", [x], outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def facts(**limits: object) -> GateFacts:
    """The card's facts about the drawn detector."""
    return GateFacts(detector="drawn", sha256=sha256(detector()).hexdigest(), licence="ours", **limits)  # type: ignore[arg-type]


def gate(**limits: object) -> FaceGate:
    """The gate for drawn faces."""
    return FaceGate(facts(**limits), YuNet(detector()))


def drawn(*dots: tuple[int, int], size: tuple[int, int] = (160, 120), red: int = 255, seed: int = 0) -> Image.Image:
    """A grey image, a little noisy, with a dot at each of these places; each is in a cell of its own of 8 pixels."""
    noise = np.random.default_rng(seed).integers(90, 160, (size[1], size[0]), dtype=np.uint8)
    image = Image.fromarray(noise).convert("RGB")
    draw = ImageDraw.Draw(image)
    for x, y in dots:
        left, top = x // 8 * 8, y // 8 * 8
        draw.rectangle((left, top, left + 7, top + 7), fill=(red, 0, 0))
    return image


def write_face_model(folder: Path, margin: float = 0.3, **limits: object) -> Classifier:
    """A model folder of drawn faces with random weights, which answers alone."""
    preprocessing = Preprocessing(size=32, face_margin=margin)
    write_model(folder, classes=("ai", "real"), preprocessing=preprocessing, gate=facts(**limits))
    (folder / DETECTOR).write_bytes(detector())
    card = ModelCard.load(folder)
    card.changed(files={**card.files, DETECTOR: sha256(detector()).hexdigest()}).save(folder)
    return load(folder)
