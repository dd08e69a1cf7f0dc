"""The calibration images as they are and after everyday damage, as features."""

from __future__ import annotations

from facevalue.data.dataset import ImageDataset
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
    return CalibrationSet(images.rows(0), tuple(damaged), groups, sources_of(dataset.rows))
