"""Features of images: ONNX Runtime gives torch's values, and torch is used where it does not."""

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


def test_onnx_runtime_gives_torchs_features_in_order(all_of: ImageDataset) -> None:
    assert len(all_of) >= features.MANY
    model = classifier()
    quick = features.Extractor(model).features(all_of)
    slow = features.Extractor(model, "torch").features(all_of)
    assert torch.allclose(quick, slow, atol=1e-4)
    assert not torch.equal(quick, slow)  # it really was another engine


def test_few_images_use_a_recorded_graph_if_there_is_one(all_of: ImageDataset) -> None:
    extractor = features.Extractor(classifier())
    many, few = extractor.features(all_of), extractor.features(all_of.take(range(32)))
    # The first batch is torch's own, which the others are compared with.
    assert torch.equal(few[16:], many[16:32])
    assert not torch.equal(few[16:], features.Extractor(classifier(), "torch").features(all_of.take(range(32)))[16:])


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
    assert torch.equal(features.Extractor(model).features(all_of), slow)


def test_the_input_is_rgb_in_the_unit_range() -> None:
    pixels = np.zeros((1, 8, 8, 3), np.uint8)
    pixels[..., 0] = 255
    x = features.to_tensor(pixels)
    assert x.shape == (1, 3, 8, 8)
    assert (x[0, 0] == 1).all()
    assert not x[0, 1:].any()
