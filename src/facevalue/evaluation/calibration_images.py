"""Whether images can serve to calibrate a finished model."""

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
"""Different images below which a temperature and limits are chance."""

LEAST_OF_CLASS = 2
"""The same for the images of one class."""

ENOUGH = 100
"""Different images from which the limit on novelty is measured; with fewer it is guessed from the largest."""


def check_calibration_images(classifier: Classifier, dataset: ImageDataset, outputs: Features) -> tuple[Finding, ...]:
    """Warnings about images that a model is to be calibrated on.

    Raises
    ------
    DataError
        They are too few, or their labels are exchanged or have nothing to do with what the model decides.
    """
    different = dataset.scanned().rows["sha256"].nunique()
    classes = classifier.card.classes
    counts = np.bincount(outputs.y, minlength=len(classes))
    if different < LEAST:
        raise DataError(
            f"{different} different images are too few to calibrate on: the temperature and the limits would be "
            f"chance; give at least {LEAST}, better {ENOUGH}"
        )
    few = int(counts.argmin())
    if 0 < counts[few] < LEAST_OF_CLASS:
        raise DataError(
            f"{counts[few]} image of {classes[few]!r} is too little to calibrate on; give at least {LEAST_OF_CLASS} of "
            "each class"
        )
    decided = classifier.decide(outputs.logits(classifier)).cpu().numpy()
    confusion = metrics.confusion(outputs.y, decided, len(classes))
    doubt = exchanged(classes, confusion)
    if doubt is not None:
        raise DataError(
            f"{doubt.text}; calibrated on them, the model would be unsure where it is right. Mend the labels"
        )
    found = []
    if no_better_than_chance(confusion):
        right = int(np.trace(confusion))
        text = (
            f"on these {len(dataset)} images the model decides no better than chance ({right} right): "
            "the temperature will say that it knows nothing; are the labels and the images the right ones?"
        )
        found.append(finding("calibration-labels-by-chance", text, right=right, n=len(dataset)))
    if different < ENOUGH:
        text = (
            f"calibrated on {different} different images only: the limits are rough, and that on novelty is guessed "
            f"from the largest distance seen; {ENOUGH} images or more measure it"
        )
        found.append(finding("few-calibration-images", text, n=different, enough=ENOUGH))
    return tuple(found)
