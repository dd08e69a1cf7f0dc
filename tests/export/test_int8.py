"""8-bit networks beside every novelty score, which stays float."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from facevalue.data.dataset import ImageDataset
from facevalue.export import EXPORTERS
from facevalue.export.base import Precision
from facevalue.export.parity import Reference
from facevalue.models.novelty import SCORES, KnownImages

from .conftest import Make

FORMATS = [
    ("onnx", "int8"),
    *(pytest.param(target, "int8", marks=pytest.mark.slow) for target in ("openvino", "litert")),
]


@pytest.mark.parametrize("score", sorted(SCORES))
@pytest.mark.parametrize(("target", "precision"), FORMATS)
def test_every_novelty_score(
    target: str, precision: Precision, score: str, make: Make, face_images: ImageDataset, tmp_path: Path
) -> None:
    missing = EXPORTERS[target].missing(precision)
    if missing is not None:
        pytest.skip(missing)
    classifier = make("small-cnn")
    x = torch.rand(30, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        features = classifier.features(x)
        known = KnownImages.of(features[:24], classifier.body.head(features[:24]), np.arange(24) % 2, features[24:])
    classifier = classifier.changed(novelty_score=SCORES[score].fitted(known))
    path = tmp_path / "file"
    path.mkdir() if EXPORTERS[target].folder else path.touch()
    figures = EXPORTERS[target].measure(
        Reference(classifier, face_images), path, precision=precision, calibration=face_images
    )
    assert 0 < figures.max_probability_difference < 0.3  # some of it computes with 8 bits
    assert figures.max_novelty_difference is not None
    assert np.isfinite(figures.max_novelty_difference)
