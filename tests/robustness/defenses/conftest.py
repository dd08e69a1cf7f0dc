"""Images and a trained classifier to defend."""

from __future__ import annotations

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
from facevalue.models.features import to_tensor

FACES = ("face", "not-face")
SIDE = 25


@pytest.fixture(scope="session")
def faces(lfw: Path) -> ImageDataset:
    """The embedded set as images of 25 x 25."""
    return dataset_of(scan(lfw), Preprocessing(size=SIDE), FACES)


@pytest.fixture(scope="session")
def clean(faces: ImageDataset) -> tuple[Tensor, Tensor]:
    """(200, 3, 25, 25) in [0, 1] and labels."""
    return to_tensor(faces.pixels()), torch.from_numpy(faces.labels)


@pytest.fixture(scope="session")
def trained(clean: tuple[Tensor, Tensor]) -> Classifier:
    """Tells faces from backgrounds; trained in seconds on all but every fourth image. Not to be changed."""
    x, y = clean
    torch.manual_seed(0)
    options = {"widths": (8, 16, 32), "blocks": 1, "dropout": 0.1}
    facts = NetworkFacts(name="small-resnet", options=options, mean=(0.5, 0.4, 0.5), std=(0.25, 0.3, 0.25), pooled=True)
    card = ModelCard(classes=FACES, preprocessing=Preprocessing(size=SIDE), network=facts, positive="face")
    classifier = Classifier(networks.build("small-resnet", 2, SIDE, options), card).train()
    learning = torch.arange(len(y))[torch.arange(len(y)) % 4 != 0]
    optimiser = torch.optim.Adam(classifier.parameters(), 3e-3)
    for _ in range(8):
        for rows in learning[torch.randperm(len(learning))].split(30):
            optimiser.zero_grad()
            nn.functional.cross_entropy(classifier.logits(x[rows]), y[rows]).backward()
            optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    return classifier.eval()
