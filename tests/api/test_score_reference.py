"""What training keeps on the card for the drift alarm."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import facevalue as fv
from facevalue.data.input_facts import detail, jpeg_quality
from facevalue.evidence.score_reference import counted
from facevalue.models.classifier import Classifier
from facevalue.training.calibration_images import facts_of_inputs


def test_the_card_has_all_statistics_of_the_calibration_images(made: Classifier) -> None:
    reference = made.card.reference
    assert reference is not None
    assert reference.n > 0
    for counts in (reference.novelty, reference.margin, reference.detail, reference.jpeg_quality):
        assert sum(counts.values()) == reference.n


def test_facts_are_what_the_server_measures(made: Classifier, lfw: Path) -> None:
    data = fv.ImageDataset.from_folder(lfw).with_preprocessing(made.card.preprocessing).take(np.arange(6))
    details, qualities = facts_of_inputs(data)
    files = [image.read_bytes() for image in data.images]  # type: ignore[union-attr]
    assert qualities == [jpeg_quality(file) for file in files]
    assert counted(details) == counted(detail(made.card.preprocessing.read(file)) for file in files)


def test_arrays_have_no_jpeg_quality(made: Classifier) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 20, 20, 3), np.uint8)
    data = fv.ImageDataset.from_arrays(list(pixels), ["face", "face", "not-face", "not-face"])
    details, qualities = facts_of_inputs(data.with_preprocessing(made.card.preprocessing))
    assert len(details) == 4
    assert qualities == []
