"""The images that exported files are measured and calibrated on."""

from __future__ import annotations

from collections.abc import Mapping

from facevalue.api.common.model_folder import own_images, parity_images
from facevalue.data.dataset import ImageDataset
from facevalue.data.evaluation_data import calibration_data, evaluation_data
from facevalue.data.scan import Data
from facevalue.errors import UsageError
from facevalue.models.classifier import Classifier

PARITY_IMAGES = 128
"""Most labelled images at full precision, where every answer must be the same."""

ACCURACY_IMAGES = 1000
"""Most labelled images at lower precision: half a point of accuracy needs hundreds to be seen."""


def labelled_images(
    classifier: Classifier, given: Data | None, most: int | None, classes: Mapping[str, str] | None = None
) -> ImageDataset:
    """The images given, else the model's own test images; at most ``most``, drawn evenly from the classes, or all.

    Parameters
    ----------
    classes : as for ``evaluate``, for the images given.

    Raises
    ------
    UsageError
        There are ``classes`` but no images are given.
    DataError
        None are given, and the model's own no longer exist.
    """
    if given is None:
        if classes:
            raise UsageError("`classes` renames the classes of `images`; give both")
        found = parity_images(classifier)
    else:
        manifest = None if classifier.origin is None else classifier.origin.manifest
        found = evaluation_data(classifier.card, manifest, given, classes=classes).dataset
    return found if most is None else found.some(most)


def ranges_images(classifier: Classifier, given: Data | None) -> ImageDataset | None:
    """The images given for the ranges of 8-bit numbers, else the model's own calibration split; ``None`` if it is gone.

    The model's test images are left out.
    """
    if given is None:
        return own_images(classifier, "calibration")
    origin = classifier.origin
    return calibration_data(classifier.card, None if origin is None else origin.manifest, given).dataset
