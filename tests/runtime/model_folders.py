"""Small model folders for tests of the runtime and the server."""

from __future__ import annotations

from pathlib import Path

import torch

from facevalue.evidence.card import ONNX, Abstention, ModelCard, NetworkFacts
from facevalue.export.onnx import OnnxExporter
from facevalue.images.preprocessing import Preprocessing
from facevalue.models import networks
from facevalue.models.classifier import Classifier
from facevalue.models.novelty.mahalanobis import Mahalanobis
from facevalue.support import files


def write_model(
    folder: Path,
    name: str = "small-resnet",
    size: int = 32,
    classes: tuple[str, ...] = ("face", "not-face"),
    seed: int = 0,
    preprocessing: Preprocessing | None = None,
    abstention: Abstention | None = None,
    **card: object,
) -> Classifier:
    """Random weights whose answers differ from image to image."""
    torch.manual_seed(seed)
    body = networks.build(name, len(classes), size)
    record = networks.find(name)
    settings = {"positive": classes[0] if len(classes) == 2 else None, "temperature": 1.5, **card}
    classifier = Classifier(
        body,
        ModelCard(
            classes=classes,
            preprocessing=preprocessing or Preprocessing(size=size),
            network=NetworkFacts(name=name, mean=record.mean, std=record.std, pooled=body.pooled),
            abstention=abstention or Abstention(),
            **settings,  # type: ignore[arg-type]
        ),
    ).eval()
    with torch.no_grad():
        features = classifier.features(torch.rand(4, 3, size, size))
        body.head.weight.mul_(1 / features.std(0).norm())
        # The same for every class, so no probability changes, but some of every image speaks for every class.
        body.head.weight.add_(body.head.weight.std() / 2)
        body.head.bias.copy_(-(features.mean(0) @ body.head.weight.T))
        spread = 4 * float(features.std())
        classifier = classifier.changed(
            novelty_score=Mahalanobis(
                {
                    "means": features.mean(0).expand(len(classes), -1),
                    "basis": torch.zeros(features.shape[1], 1),
                    "scale": torch.tensor([spread]),
                    "rest": torch.tensor(spread),
                }
            )
        )
    folder.mkdir(parents=True, exist_ok=True)
    OnnxExporter().write(classifier, folder / ONNX)
    classifier.card = classifier.card.changed(files={ONNX: files.sha256(folder / ONNX)})
    classifier.write(folder)
    return classifier
