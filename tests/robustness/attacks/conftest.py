"""Classifiers to attack: a linear one, whose answers are known in closed form, and one trained on real images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from facevalue.data.dataset import ImageDataset, dataset_of
from facevalue.data.scan import scan
from facevalue.evidence.card import ModelCard, NetworkFacts
from facevalue.images.preprocessing import Preprocessing
from facevalue.models import networks
from facevalue.models.classifier import Classifier
from facevalue.models.networks.base import Body

FACES = ("face", "not-face")
SIDE = 25


class LinearBody(Body):
    """Pixels, flattened, times a matrix; ``before`` is done to the pixels first."""

    pooled = False
    spatial = False

    def __init__(self, classes: int, size: int, before: Callable[[Tensor], Tensor] = lambda x: x) -> None:
        super().__init__()
        self.before = before
        self.nothing = nn.Identity()
        self.head = nn.Linear(3 * size * size, classes)

    def maps(self, x: Tensor) -> Tensor:
        return self.before(self.nothing(x))

    def embed(self, maps: Tensor) -> Tensor:
        return maps.flatten(1)

    def stages(self) -> list[nn.Module]:
        return [self.nothing]

    @property
    def cam_layer(self) -> nn.Module:
        return self.nothing


def linear(
    weight: Tensor, bias: Tensor, before: Callable[[Tensor], Tensor] = lambda x: x, **card: object
) -> Classifier:
    """A classifier with logits ``weight @ x + bias``; ``weight`` is (k, 3, s, s)."""
    k, _, size, _ = weight.shape
    body = LinearBody(k, size, before)
    with torch.no_grad():
        body.head.weight.copy_(weight.flatten(1))
        body.head.bias.copy_(bias)
    classes = FACES if k == 2 else tuple(f"class-{i}" for i in range(k))
    fields = {"positive": "face" if k == 2 else None, **card}
    return Classifier(
        body,
        ModelCard(classes=classes, preprocessing=Preprocessing(size=size), network=NetworkFacts("linear"), **fields),
    )


@pytest.fixture(scope="session")
def make_linear() -> Callable[..., Classifier]:
    return linear


@pytest.fixture(scope="session")
def faces(lfw: Path) -> ImageDataset:
    """The embedded set as images of 25 x 25."""
    return dataset_of(scan(lfw), Preprocessing(size=SIDE), FACES)


def tensors(chosen: ImageDataset) -> tuple[Tensor, Tensor]:
    pixels = torch.from_numpy(chosen.pixels())
    return pixels.permute(0, 3, 1, 2).contiguous().float() / 255, torch.from_numpy(chosen.labels)


def residual(classes: tuple[str, ...]) -> Classifier:
    """A small residual network with random weights."""
    torch.manual_seed(0)
    options = {"widths": (8, 16, 32), "blocks": 1, "dropout": 0.1}
    facts = NetworkFacts("small-resnet", options=options, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25), pooled=True)
    positive = classes[0] if len(classes) == 2 else None
    card = ModelCard(classes=classes, preprocessing=Preprocessing(size=SIDE), network=facts, positive=positive)
    return Classifier(networks.build("small-resnet", len(classes), SIDE, options), card)


@pytest.fixture(scope="session")
def trained(faces: ImageDataset) -> Classifier:
    """Tells faces from backgrounds; trained on three quarters of the embedded set in seconds. Not to be changed."""
    x, y = tensors(faces)
    classifier = residual(FACES).train()
    torch.manual_seed(0)
    learning = torch.arange(len(y))[torch.arange(len(y)) % 4 != 0]
    optimiser = torch.optim.Adam(classifier.parameters(), 3e-3)
    for _ in range(6):
        for rows in learning[torch.randperm(len(learning))].split(30):
            optimiser.zero_grad()
            nn.functional.cross_entropy(classifier.logits(x[rows]), y[rows]).backward()
            optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    return classifier.eval()


@pytest.fixture(scope="session")
def some_faces(faces: ImageDataset) -> tuple[Tensor, Tensor]:
    """100 images (100, 3, 25, 25) in [0, 1] with labels, half of them faces."""
    return tensors(faces.some(100))


@pytest.fixture(scope="session")
def five_classes(some_faces: tuple[Tensor, Tensor]) -> tuple[Classifier, Tensor, Tensor]:
    """A network of five classes, images, and labels that are the network's own answers but for every fifth."""
    classifier = residual(tuple("abcde")).train()
    x = some_faces[0][:40]
    with torch.no_grad():
        classifier.logits(x)  # batch-norm statistics of these images
        classifier.eval()
        logits = classifier.logits(x)
        # Centred, so that every class is given now and then.
        classifier.body.head.bias -= logits.mean(dim=0)
        y = classifier.logits(x).argmax(dim=1)
    assert len(y.unique()) > 2
    y[::5] = (y[::5] + 1) % 5
    return classifier, x, y
