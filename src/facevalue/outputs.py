"""A classifier's outputs over pictures: computed once, used for calibration and evaluation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facevalue import progress
from facevalue.classifier import Classifier
from facevalue.data.pictures import Pictures

BATCH = 32


@dataclass(frozen=True)
class Outputs:
    """One row a picture, in the pictures' order.

    Attributes
    ----------
    features : (n, d) float32, before the last layer.
    logits : (n, k) float32, before the temperature.
    labels : (n,) int64.
    """

    features: Tensor
    logits: Tensor
    labels: NDArray[np.int64]

    def probabilities(self, classifier: Classifier) -> NDArray[np.float64]:
        """(n, k), calibrated by the classifier's temperature."""
        calibrated: NDArray[np.float64] = classifier.calibrated(self.logits.double()).numpy()
        return calibrated

    def novelty(self, classifier: Classifier) -> NDArray[np.float64]:
        """(n,) distances from the training data."""
        with torch.inference_mode():
            parts = [classifier.novelty(part).double() for part in torch.split(self.features, 1024)]
        joined: NDArray[np.float64] = torch.cat(parts).numpy()
        return joined


def to_input(squares: NDArray[np.uint8], device: torch.device | str = "cpu") -> Tensor:
    """(n, s, s, 3) uint8 to (n, 3, s, s) float32 in [0, 1], channels last in memory (which convolutions like)."""
    return torch.from_numpy(squares).to(device).permute(0, 3, 1, 2).float().div_(255)


def features_of(classifier: Classifier, pictures: Pictures, what: str = "") -> Tensor:
    """(n, d) features, in eval mode."""
    classifier = classifier.eval()
    body = classifier.body.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    device = body.head.weight.device
    parts = []
    with torch.inference_mode(), progress.work(what or f"computing {pictures.name}", len(pictures)) as work:
        for squares, _ in pictures.batches(BATCH):
            parts.append(classifier.features(to_input(squares, device)).float().cpu())
            work.advance(len(squares))
    return torch.cat(parts)


def from_features(classifier: Classifier, features: Tensor, labels: NDArray[np.int64]) -> Outputs:
    """Outputs where the features are known already."""
    with torch.inference_mode():
        logits = classifier.body.head(features.to(classifier.body.head.weight.device)).float().cpu()
    return Outputs(features, logits, labels)


def outputs_of(classifier: Classifier, pictures: Pictures, what: str = "") -> Outputs:
    """Outputs on pictures, decoded and computed in batches."""
    return from_features(classifier, features_of(classifier, pictures, what), pictures.labels)
