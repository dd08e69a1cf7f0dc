"""Checks whether images are suitable to calibrate a trained model."""

from __future__ import annotations

import numpy as np

from facevalue.data.dataset import ImageDataset
from facevalue.errors import DataError
from facevalue.evaluation import metrics
from facevalue.evaluation.confusion_checks import exchanged, no_better_than_chance
from facevalue.evidence.findings import Finding, finding
from facevalue.models.classifier import Classifier
from facevalue.models.features import Features

LEAST = 15
"""Smallest number of different images; with fewer, temperature and limits would be chance."""

LEAST_OF_CLASS = 2
"""Smallest number of images of each class."""

ENOUGH = 100
"""Number of different images that determines the novelty limit; with fewer it is extrapolated from the largest."""


def check_calibration_images(classifier: Classifier, dataset: ImageDataset, outputs: Features) -> tuple[Finding, ...]:
    """Warnings about images for calibration.

    Raises
    ------
    DataError
        There are too few images, or their labels seem exchanged.
    """
    different = dataset.scanned().rows["sha256"].nunique()
    classes = classifier.card.classes
    counts = np.bincount(outputs.y, minlength=len(classes))
    if different < LEAST:
        raise DataError(
            f"{different} different images are too few to calibrate on: the temperature and the limits would be "
            f"chance; use at least {LEAST}, better {ENOUGH}"
        )
    few = int(counts.argmin())
    if 0 < counts[few] < LEAST_OF_CLASS:
        raise DataError(
            f"{counts[few]} image of {classes[few]!r} is too few to calibrate on; use at least {LEAST_OF_CLASS} of "
            "each class"
        )
    decided = classifier.decide(outputs.logits(classifier)).cpu().numpy()
    confusion = metrics.confusion(outputs.y, decided, len(classes))
    doubt = exchanged(classes, confusion)
    if doubt is not None:
        raise DataError(
            f"{doubt.text}; calibration on them would make the model uncertain where it is right. Correct the labels"
        )
    found = []
    if no_better_than_chance(confusion):
        right = int(np.trace(confusion))
        text = (
            f"on these {len(dataset)} images the model is no better than chance ({right} right), so the calibrated "
            "probabilities will be nearly equal for all classes; check that labels and images belong together"
        )
        found.append(finding("calibration-labels-by-chance", text, right=right, n=len(dataset)))
    if different < ENOUGH:
        text = (
            f"calibrated on {different} different images only: the limits are rough, and the novelty limit is "
            f"extrapolated from the largest distance; use {ENOUGH} images or more to measure it"
        )
        found.append(finding("few-calibration-images", text, n=different, enough=ENOUGH))
    return tuple(found)
