"""Small classifiers with random weights, on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import pytest
import torch

from facevalue.evidence.card import ModelCard, NetworkFacts
from facevalue.images.preprocessing import Preprocessing
from facevalue.models import networks
from facevalue.models.classifier import Classifier


@lru_cache
def random_classifier(name: str, side: int, classes: tuple[str, ...] = ("face", "not-face")) -> Classifier:
    """In eval mode, with batch-norm statistics away from their start, as after training. Shared: not to be changed."""
    torch.manual_seed(1)
    network = networks.find(name)
    body = networks.build(name, len(classes), side)
    body.train()
    with torch.no_grad():
        for _ in range(2):
            body(torch.randn(4, 3, side, side))
        body.head.weight[0].abs_()  # so that there is evidence for the first class
    card = ModelCard(
        classes=classes,
        preprocessing=Preprocessing(size=side),
        network=NetworkFacts(name=name, mean=network.mean, std=network.std, pooled=body.pooled),
        positive=classes[0] if len(classes) == 2 else None,
    )
    return Classifier(body, card).eval()


@pytest.fixture(scope="session")
def make_classifier() -> Callable[..., Classifier]:
    return random_classifier


@pytest.fixture(scope="session")
def small_resnet() -> Classifier:
    return random_classifier("small-resnet", 32)


@pytest.fixture(scope="session")
def small_cnn() -> Classifier:
    return random_classifier("small-cnn", 40)
