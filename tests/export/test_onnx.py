from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from facevalue.data.dataset import ImageDataset
from facevalue.errors import FaceValueError
from facevalue.evidence.card import Calibration
from facevalue.export import EXPORTERS
from facevalue.export.onnx import Graph, OnnxExporter
from facevalue.models import networks
from facevalue.models.calibration import METHODS
from facevalue.models.classifier import Classifier
from facevalue.models.features import features_of
from facevalue.models.graphs import record
from facevalue.models.graphs.record import captured, traced
from facevalue.models.networks.base import Body

from .conftest import Make

Write = Callable[[Graph, Tensor, Path], None]


def answers(path: Path, pixels: np.ndarray) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"pixels": pixels}), strict=True))


def assert_same_answers(classifier: Classifier, path: Path) -> None:
    """Every output at several batch sizes against the model in torch, computed without the graph's own code.

    Engines, and one engine on other instruction sets, add the products of a sum in other orders. The rounding error of
    a logit is therefore proportional to the sum of its products' absolute values, however small the logit is. Measured
    over all networks: at most 4e-7 of that sum with AVX-512, AVX2 and SSE4.1. The bound is ten times as much.
    """
    rng = np.random.default_rng(0)
    side = classifier.card.preprocessing.size
    for n in (1, 2, 3, 5):
        pixels = rng.integers(0, 256, (n, side, side, 3), dtype=np.uint8)
        with torch.no_grad():
            x = torch.from_numpy(pixels.astype(np.float32) / 255).permute(0, 3, 1, 2)
            maps, features, logits = classifier.maps(x), classifier.features(x), classifier.logits(x)
            expected = {
                "logits": logits,
                "probabilities": torch.softmax(logits / classifier.card.temperature, 1),
                "novelty": classifier.novelty(features),
            }
            if classifier.body.pooled:
                p = expected["probabilities"]
                winner = (
                    p.argmax(1) if classifier.card.positive is None else (p[:, 0] < classifier.card.threshold).long()
                )
                weights = classifier.body.head.weight[winner]
                expected["heat"] = (weights[:, :, None, None] * maps).sum(1).clamp_min(0)
            head = classifier.body.head
            products = float((features.abs() @ head.weight.abs().T + head.bias.abs()).max())
        assert products < 100, "a head this large makes the bound so wide that wrong logits pass"
        bounds = {name: 5e-5 * max(1.0, float(value.abs().max())) for name, value in expected.items()}
        bounds["logits"] = 4e-6 * products
        bounds["probabilities"] = bounds["logits"] / (2 * classifier.card.temperature)  # the softmax's steepest slope
        got = answers(path, pixels)
        assert list(got) == list(expected)
        for name, value in expected.items():
            np.testing.assert_allclose(got[name], value, rtol=0, atol=bounds[name], err_msg=f"{name}, n={n}")


@pytest.mark.parametrize(
    ("write", "name"),
    [
        (traced, "small-resnet"),
        (traced, "small-cnn"),
        (captured, "small-cnn"),
        pytest.param(captured, "small-resnet", marks=pytest.mark.slow),
    ],
)
def test_both_ways_of_writing_give_the_model_s_answers(write: Write, name: str, make: Make, tmp_path: Path) -> None:
    classifier = make(name, options={"widths": (8, 16)} if name == "small-resnet" else None)
    write(Graph(classifier).eval(), torch.zeros(2, 32, 32, 3, dtype=torch.uint8), tmp_path / "m.onnx")
    onnx.checker.check_model(tmp_path / "m.onnx", full_check=True)
    assert_same_answers(classifier, tmp_path / "m.onnx")


class Spectral(Body):
    """Features from a Fourier transform, which the recording cannot write and ``torch.export`` can."""

    pooled = False

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.head = nn.Linear(8, 2)

    def maps(self, x: Tensor) -> Tensor:
        return torch.view_as_real(torch.fft.rfft(self.conv(x), dim=-1)).square().sum(-1)

    def embed(self, maps: Tensor) -> Tensor:
        return maps.mean((2, 3)).log1p()

    def stages(self) -> list[nn.Module]:
        return [self.conv]

    @property
    def cam_layer(self) -> nn.Module:
        return self.conv


def test_what_cannot_be_recorded_is_captured(make: Make, tmp_path: Path) -> None:
    classifier = Classifier(Spectral(), make("small-cnn").card).eval().requires_grad_(False)
    with pytest.raises(torch.onnx.errors.UnsupportedOperatorError):
        traced(Graph(classifier).eval(), torch.zeros(2, 32, 32, 3, dtype=torch.uint8), tmp_path / "m.onnx")
    OnnxExporter().write(classifier, tmp_path / "m.onnx")
    assert_same_answers(classifier, tmp_path / "m.onnx")


@pytest.mark.parametrize(
    ("name", "size", "options"),
    [
        ("small-inception", 32, None),
        ("mobilenetv2_100", 64, None),
        ("mobilenetv2_100", 70, {"pad_type": "same"}),
        ("mobilenetv2_100-texture", 64, {"pad_type": "same", "zooms": (1, 2), "wide": (1, 2), "wide_at": (2,)}),
        ("convnext_atto", 64, None),
        ("ensemble", 32, None),
    ],
)
def test_networks(name: str, size: int, options: dict[str, object] | None, make: Make, tmp_path: Path) -> None:
    classifier = make(name, size, options=options)
    OnnxExporter().write(classifier, tmp_path / "m.onnx")
    assert_same_answers(classifier, tmp_path / "m.onnx")


@pytest.mark.slow
@pytest.mark.parametrize("name", [*networks.NETWORKS, "vit_tiny_patch16_224", "convnext_atto", "efficientnet_b0"])
def test_every_network_at_its_own_size(name: str, make: Make, face_images: ImageDataset, tmp_path: Path) -> None:
    classifier = make(name, networks.find(name).preprocessing.size, classes=("a", "b", "c"))
    OnnxExporter().write(classifier, tmp_path / "m.onnx")
    assert_same_answers(classifier, tmp_path / "m.onnx")


def test_the_heat_is_of_the_class_decided_for(make: Make, tmp_path: Path) -> None:
    """Not of the likeliest: with a threshold of 0.95 the decision is nearly always for the other class."""
    classifier = make(threshold=0.95)
    OnnxExporter().write(classifier, tmp_path / "m.onnx")
    assert_same_answers(classifier, tmp_path / "m.onnx")


def test_constant_paddings_leave_no_arithmetic_on_sizes(make: Make, tmp_path: Path) -> None:
    classifier = make("mobilenetv2_100", 70, options={"pad_type": "same"})
    OnnxExporter().write(classifier, tmp_path / "m.onnx")
    graph = onnx.load(tmp_path / "m.onnx").graph
    constants = {w.name for w in graph.initializer} | {n.output[0] for n in graph.node if n.op_type == "Constant"}
    pads = [node for node in graph.node if node.op_type == "Pad"]
    assert pads
    assert all(node.input[1] in constants for node in pads)
    assert "Ceil" not in {node.op_type for node in graph.node}


def test_the_file_has_metadata(make: Make, tmp_path: Path) -> None:
    card = make().card
    OnnxExporter().write(make(), tmp_path / "m.onnx")
    model = onnx.load(tmp_path / "m.onnx")
    facts = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(facts["classes"]) == ["face", "not-face"]
    assert float(facts["temperature"]) == 1.7
    assert json.loads(facts["preprocessing"])["size"] == 32
    assert facts["facevalue_version"]
    assert json.loads(facts["novelty_limit"]) == card.abstention.novelty
    assert json.loads(facts["source_limit"]) == card.abstention.source
    (pixels,) = model.graph.input
    dims = pixels.type.tensor_type.shape.dim
    assert pixels.name == "pixels"
    assert dims[0].dim_param
    assert [d.dim_value for d in dims[1:]] == [32, 32, 3]


def test_more_weights_than_one_file_holds(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "MAX_BYTES", 1000)
    with pytest.raises(FaceValueError, match="holds at most 2"):
        OnnxExporter().write(make(), tmp_path / "m.onnx")


@pytest.mark.parametrize("name", METHODS)
def test_every_calibration_method_is_inside_the_graph(
    name: str, make: Make, face_images: ImageDataset, tmp_path: Path
) -> None:
    classifier = make()
    logits = features_of(classifier, face_images).logits(classifier)
    z = np.tile(logits.double().numpy() / classifier.card.temperature, (40, 1))
    drawn = (np.random.default_rng(0).random(len(z)) < 0.3 + 0.4 * (z[:, 1] > z[:, 0])).astype(np.int64)
    parameters = METHODS[name].fit(z, drawn, np.ones(len(z)))
    calibration = Calibration(method=name, parameters=dict(parameters))
    fitted = classifier.changed(classifier.card.changed(calibration=calibration))
    report = EXPORTERS["onnx"](fitted, tmp_path / "model.onnx", face_images)
    assert report.label_agreement == 1
    assert report.max_probability_difference < 1e-4
    p, plain = fitted.calibrated(logits), classifier.calibrated(logits)
    assert (float((p - plain).abs().max()) > 1e-3) == (name != "temperature")
