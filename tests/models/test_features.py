"""Features of images: the engines give torch's values, and torch is used where they do not."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from facevalue.data.dataset import ImageDataset, dataset_of
from facevalue.data.scan import scan
from facevalue.evidence.card import ModelCard, NetworkFacts
from facevalue.images.preprocessing import Preprocessing
from facevalue.models import features, networks
from facevalue.models.classifier import Classifier
from facevalue.models.graphs import engines
from facevalue.models.networks.base import Body

CLASSES = ("face", "not-face")


def classifier(body: Body | None = None) -> Classifier:
    torch.manual_seed(0)
    body = body or networks.build("small-resnet", 2, 32, {"widths": (8, 16)})
    facts = NetworkFacts(name="small-resnet", mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.2))
    card = ModelCard(
        classes=CLASSES, positive="face", preprocessing=Preprocessing(size=32), network=facts, temperature=1.7
    )
    return Classifier(body, card).eval()


@pytest.fixture(scope="module")
def all_of(lfw: Path) -> ImageDataset:
    return dataset_of(scan(lfw), Preprocessing(size=32), CLASSES)


@pytest.mark.parametrize("engine", [engines._in_onnxruntime, engines._in_openvino])
def test_an_engine_gives_torchs_features_in_order(
    all_of: ImageDataset, monkeypatch: pytest.MonkeyPatch, engine: Callable[[bytes], engines.Engine]
) -> None:
    if engine is engines._in_openvino:
        pytest.importorskip("openvino")
    monkeypatch.setattr(features, "opened", engine)
    assert len(all_of) >= features.MANY
    model = classifier()
    extractor = features.Extractor(model)
    quick = extractor.features(all_of)
    slow = features.Extractor(model, "torch").features(all_of)
    assert torch.allclose(quick, slow, atol=1e-4)
    assert extractor.computed_by.startswith(engine.__name__.removeprefix("_in_"))
    assert not torch.equal(quick, slow)  # it really was another engine


def test_few_images_use_a_recorded_graph_if_there_is_one(all_of: ImageDataset) -> None:
    extractor = features.Extractor(classifier())
    many, few = extractor.features(all_of), extractor.features(all_of.take(range(32)))
    assert torch.equal(few, many[:32])
    assert not torch.equal(few, features.Extractor(classifier(), "torch").features(all_of.take(range(32))))
    assert extractor.computed_by.split()[0] in ("openvino", "onnxruntime")


def test_logits_and_probabilities_are_the_classifiers_own(all_of: ImageDataset) -> None:
    model, some = classifier(), all_of.take(range(20))
    x = features.to_tensor(some.pixels())
    found = features.features_of(model, some)
    with torch.inference_mode():
        assert torch.allclose(found.logits(model), model.logits(x), atol=1e-5)
        assert np.allclose(found.probabilities(model), model.probabilities(x).numpy(), atol=1e-5)
        assert np.allclose(found.novelty(model), model.novelty(model.features(x)).numpy(), atol=1e-5)
    assert np.array_equal(found.y, some.labels)


class Moody(Body):
    """A body whose features differ between what is recorded and what runs: a branch on the data."""

    pooled = False

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3, 2)

    def maps(self, x: Tensor) -> Tensor:
        return x if bool(x.mean() < -1) else -x  # the blank example takes one branch, images the other

    def embed(self, maps: Tensor) -> Tensor:
        return maps.mean((2, 3))

    def stages(self) -> list[nn.Module]:
        return []

    @property
    def cam_layer(self) -> nn.Module:
        return self


def test_torch_is_used_if_the_recorded_graph_differs(all_of: ImageDataset) -> None:
    model = classifier(Moody())
    slow = features.Extractor(model, "torch").features(all_of)
    extractor = features.Extractor(model)
    assert torch.equal(extractor.features(all_of), slow)
    assert extractor.computed_by.startswith("torch")


def test_features_of_all_learned_splits_lie_in_one_tensor(all_of: ImageDataset) -> None:
    """Joined, they are a view; from other tensors, a copy with the same rows."""
    extractor, parts = (
        features.Extractor(classifier(), quarters=True),
        [all_of.take(range(8)), all_of.take(range(8, 13))],
    )
    d = extractor._classifier.body.head.in_features
    room = torch.empty(13, 4, d)
    first, second = (extractor.of(part, into=room[a:b]) for part, a, b in zip(parts, (0, 8), (8, 13), strict=True))
    joined = first.joined(second)
    assert joined.x.data_ptr() == room.data_ptr()
    assert joined.contrasts is not None
    assert torch.equal(joined.contrasts, room[:, 1:])
    assert torch.equal(joined.x, room[:, 0])
    apart = extractor.of(parts[0]).joined(extractor.of(parts[1]))
    assert torch.equal(apart.x, joined.x)
    assert joined.y.tolist() == all_of.labels[:13].tolist()
    quarters = extractor.features(all_of.take(range(13)))[:, 1:]
    away = quarters - quarters.mean(1, keepdim=True)
    w = torch.randn(d, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close((joined.contrasts @ w).square().sum(1), (away @ w).square().sum(1), rtol=1e-3, atol=1e-5)


def test_the_input_is_rgb_in_the_unit_range() -> None:
    pixels = np.zeros((1, 8, 8, 3), np.uint8)
    pixels[..., 0] = 255
    x = features.to_tensor(pixels)
    assert x.shape == (1, 3, 8, 8)
    assert (x[0, 0] == 1).all()
    assert not x[0, 1:].any()


def test_features_that_are_asked_for_twice_are_computed_once(all_of: ImageDataset) -> None:
    extractor = features.Extractor(classifier())
    first, other = all_of.take(range(8)), all_of.take(range(4))
    found = extractor.features_once(first)
    assert extractor.features_once(first) is found
    assert torch.equal(extractor.features_once(other), found[:4])
    assert torch.equal(found, extractor.features(first))
