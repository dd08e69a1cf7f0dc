from __future__ import annotations

import numpy as np
import pytest

from facevalue.runtime.accuracy_estimate import LATEST, AccuracyEstimate


def test_it_is_the_accuracy_where_probabilities_are_calibrated() -> None:
    """Answers that are right with their own probability; against the binomial at four standard errors."""
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.5, 1, LATEST)
    right = rng.random(LATEST) < confidence
    estimate = AccuracyEstimate()
    for one in confidence:
        estimate.add(float(one))
    assert estimate.value is not None
    assert abs(estimate.value - right.mean()) < 4 * np.sqrt((confidence * (1 - confidence)).mean() / LATEST)


def test_only_the_latest_images_count() -> None:
    estimate = AccuracyEstimate()
    assert estimate.to_dict() == {"value": None, "method": "average confidence", "images": 0}
    for confidence in [0.5] * 300 + [0.9] * LATEST:
        estimate.add(confidence)
    assert estimate.to_dict()["images"] == LATEST
    assert estimate.value == pytest.approx(0.9)
