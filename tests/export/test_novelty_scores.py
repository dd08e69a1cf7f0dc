"""Every novelty score in every exported file: the file refuses the images that the model refuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from facevalue.data.dataset import ImageDataset
from facevalue.evidence.card import Abstention, NoveltyFacts
from facevalue.export import EXPORTERS
from facevalue.models.classifier import Classifier
from facevalue.models.novelty import SCORES, KnownImages

from .conftest import Make

TARGETS = ("onnx", "openvino", pytest.param("litert", marks=pytest.mark.slow))


def scored(classifier: Classifier, name: str, images: ImageDataset) -> Classifier:
    """The classifier with a score that is fitted to noise, and a limit that some of the images are above."""
    noise = torch.rand(30, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    x = torch.from_numpy(images.pixels()).permute(0, 3, 1, 2) / 255
    with torch.no_grad():
        features, own = classifier.features(noise), classifier.features(x)
        known = KnownImages.of(features, classifier.body.head(features), np.arange(30) % 2, own[:5] + 0.1)
        changed = classifier.changed(novelty_score=SCORES[name].fitted(known))
        limit = float(changed.novelty(own).median())
    card = classifier.card.changed(novelty=NoveltyFacts(score=name), abstention=Abstention(novelty=limit))
    return changed.changed(card=card)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", sorted(SCORES))
def test_a_file_has_the_novelty_of_the_model(
    name: str, target: str, make: Make, agreed: Callable[[Classifier], ImageDataset], tmp_path: Path
) -> None:
    missing = EXPORTERS[target].missing("fp32")
    if missing is not None:
        pytest.skip(missing)
    images = agreed(make())
    classifier = scored(make(), name, images)
    report = EXPORTERS[target](classifier, tmp_path / "file", images)
    assert report.answers_changed == 0
    assert report.max_novelty_difference is not None
    assert report.max_novelty_difference < 1e-4
    abstaining = {bool(p.reasons) for p in classifier.predict(list(images.images))}
    assert abstaining == {True, False}
