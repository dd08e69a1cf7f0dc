"""The calibration images as they are and after everyday damage, as features."""

from __future__ import annotations

import os

from facevalue.data.dataset import ImageDataset
from facevalue.data.input_facts import detail
from facevalue.data.sources import sources_of
from facevalue.evaluation.calibration_set import CalibrationSet, Condition
from facevalue.models.features import Extractor, Features
from facevalue.robustness.corruptions.damage import Damage
from facevalue.training.settings import CalibrationSettings


def calibration_set(
    extractor: Extractor, dataset: ImageDataset, images: Features, settings: CalibrationSettings
) -> CalibrationSet:
    """The images to calibrate a classifier on.

    Parameters
    ----------
    extractor : of the classifier.
    dataset : the calibration images.
    images : their features.
    """
    most = len(dataset) if settings.promises else settings.damaged
    damaged = []
    for seed, name in enumerate(settings.damage):
        # Each kind of damage has other images, so that together they tell of more images.
        places = dataset.places(most, seed)
        inputs = Damage.of(name).inputs(dataset, places, extractor.preprocessing)
        x = extractor.of_inputs(inputs, len(places), f"computing {dataset.name} after {name}")
        damaged.append(Condition(name, places, Features(x, dataset.labels[places])))
    groups = [str(group) for group in dataset.rows["group"]]
    return CalibrationSet(images.rows(0), tuple(damaged), groups, sources_of(dataset.rows), *facts_of_inputs(dataset))


def facts_of_inputs(dataset: ImageDataset) -> tuple[list[float], list[float]]:
    """The detail of each image, and the JPEG quality of each file; the latter empty where images are no files."""
    found = [detail(one) for pixels, _ in dataset.batches() for one in pixels]
    are_files = all(isinstance(image, str | bytes | os.PathLike) for image in dataset.images)
    if not are_files or "jpeg_quality" not in dataset.rows:
        return found, []
    return found, [float(quality) for quality in dataset.rows["jpeg_quality"]]
