from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from facevalue.data.dataset import ImageDataset, dataset_of
from facevalue.data.scan import scan
from facevalue.evidence.card import Abstention, ModelCard, NetworkFacts
from facevalue.images.preprocessing import Preprocessing
from facevalue.models import networks
from facevalue.models.classifier import Classifier
from facevalue.models.networks.base import Body, normalise
from facevalue.models.networks.ensemble import Ensemble
from facevalue.models.novelty.mahalanobis import RANK, Mahalanobis

Make = Callable[..., Classifier]


@pytest.fixture(scope="session")
def face_images(lfw: Path) -> ImageDataset:
    return dataset_of(scan(lfw), Preprocessing(size=32), ("face", "not-face")).some(24)


def spread_answers(body: Body, images: Tensor) -> None:
    """Change the heads so that the answers to normalised ``images`` differ.

    An ensemble's own head stays the identity that it is in every real ensemble. Its features are logarithms that hardly
    differ; a head that spreads them has weights in the thousands, and so multiplies rounding errors by thousands.
    """
    if isinstance(body, Ensemble):
        for member in body.together:
            spread_answers(member.body, normalise(images, member.mean, member.std))
        return
    features = body.features(images)
    body.head.weight.mul_(2 / features.std(0).norm())
    body.head.bias.copy_(-(features.mean(0) @ body.head.weight.T))


@pytest.fixture(scope="session")
def make() -> Make:
    """A classifier whose answers differ from image to image, and whose novelty is not constant."""

    def build(
        name: str = "small-resnet",
        size: int = 32,
        classes: tuple[str, ...] = ("face", "not-face"),
        options: dict[str, object] | None = None,
        **card: object,
    ) -> Classifier:
        torch.manual_seed(0)
        body = networks.build(name, len(classes), size, options)
        record = networks.find(name)
        facts = NetworkFacts(
            name=name, options=dict(options or {}), mean=record.mean, std=record.std, pooled=body.pooled
        )
        settings = {"positive": classes[0] if len(classes) == 2 else None, "temperature": 1.7, **card}
        images = torch.rand(16, 3, size, size)
        mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (record.mean, record.std))
        with torch.no_grad():
            spread_answers(body.eval(), normalise(images, mean, std))
        classifier = Classifier(
            body,
            ModelCard(
                classes=classes,
                preprocessing=Preprocessing(size=size),
                network=facts,
                abstention=Abstention(novelty=1.0, confidence=0.5),
                **settings,  # type: ignore[arg-type]
            ),
        ).eval()
        with torch.no_grad():
            features = classifier.features(images)
            basis, _ = torch.linalg.qr(torch.randn(features.shape[1], min(RANK, features.shape[1])))
            deviation = float(features.std()) + 1e-3
            return classifier.changed(
                novelty_score=Mahalanobis(
                    {
                        "means": features.mean(0).expand(len(classes), -1),
                        "basis": basis,
                        "scale": torch.full((basis.shape[1],), deviation),
                        "rest": torch.tensor(deviation),
                    }
                )
            )

    return build


@pytest.fixture(scope="session")
def agreed(face_images: ImageDataset) -> Callable[[Classifier], ImageDataset]:
    """The ten face images that a classifier is surest of, with the labels that it gives them."""

    def relabelled(classifier: Classifier) -> ImageDataset:
        p = classifier.eval().predict_proba(face_images.pixels())
        sure = np.argsort(np.abs(p[:, 0] - classifier.card.threshold))[-10:]
        labels = np.where(p[:, 0] >= classifier.card.threshold, 0, 1)
        return replace(face_images, labels=labels.astype(np.int64)).take(np.sort(sure))

    return relabelled
