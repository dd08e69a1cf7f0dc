"""``calibrate``: fit temperature and abstention limits on other images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from facevalue.api.common.inputs import Model, opened
from facevalue.api.common.model_folder import claimed, save
from facevalue.api.common.stable_answers import with_stable_answers
from facevalue.data.evaluation_data import calibration_data
from facevalue.data.scan import Data
from facevalue.errors import UsageError
from facevalue.evaluation.calibration import calibrated
from facevalue.evaluation.calibration_images import check_calibration_images
from facevalue.evidence.findings import say
from facevalue.evidence.provenance import current_command, now, recorded
from facevalue.images.versions import MOST
from facevalue.models.classifier import Classifier, load
from facevalue.models.features import features_of
from facevalue.training.recipe import read
from facevalue.training.settings import CalibrationSettings


@recorded
def calibrate(
    model: Model,
    data: Data,
    output: Path | str | None = None,
    *,
    threshold: float | None = None,
    classes: Mapping[str, str] | None = None,
    stable: int | None = None,
) -> Classifier:
    """Fit temperature and abstention limits on other images. Returns a new classifier with the same weights.

    The new card has no evidence, because the old evidence was measured with the old temperature and threshold.

    Parameters
    ----------
    model : a classifier, or a model folder; not changed.
    data : labelled images that were not used to train the model. If it has splits, calibration is used.
    output : the model folder to create; ``None`` keeps the classifier in memory.
    threshold : the calibrated probability, above 0 and below 1, from which the positive class is predicted; by default
        the model's. The limits are fitted to it. Only for two classes.
    classes : as for :func:`facevalue.evaluate`.
    stable : make each answer from so many versions of the network input, 2 to 7, with limits chosen so that few answers
        flip when an image is saved again; 0 for one network input. By default as in the model's recipe.

    Raises
    ------
    UsageError
        ``output`` exists already, or the threshold is out of range or the model has more than two classes.
    FaceValueError
        Another process is writing ``output``.
    DataError
        ``data`` lacks a class or has an unknown one; the model was trained on all of it; or there are too few images,
        or their labels seem exchanged.
    """
    if stable is not None and stable != 0 and not 2 <= stable <= MOST:
        raise UsageError(f"Expected `stable` from 2 to {MOST} network inputs, or 0 for one, but got {stable}")
    with claimed(output, overwrite=False) as folder:
        classifier = _with_threshold(opened(model), threshold)
        origin = classifier.origin
        known = None if origin is None else origin.manifest
        found = calibration_data(classifier.card, known, data, classes, classifier.gate)
        outputs = features_of(classifier, found.dataset)
        warnings = (*found.warnings, *check_calibration_images(classifier, found.dataset, outputs))
        say(warnings)
        # The settings of the model's recipe; a card without a recipe uses those of the probe.
        own = classifier.card.recipe.get("calibration")
        settings = read("probe").calibration if own is None else msgspec.convert(own, CalibrationSettings)
        settings = settings if stable is None else msgspec.structs.replace(settings, stable=stable)
        fitted = calibrated(
            classifier,
            outputs,
            target=settings.target,
            floor=settings.floor,
            quantile=settings.quantile,
        )
        fitted, unsure = with_stable_answers(fitted, found.dataset, outputs, settings)
        warnings = (*warnings, *unsure)
        facts = fitted.card.data.changed(warnings=(*fitted.card.data.warnings, *warnings))
        provenance = fitted.card.provenance.changed(command=current_command(), created=now())
        card = fitted.card.changed(evidence=(), data=facts, provenance=provenance)
        fitted = fitted.changed(card)
        return fitted if folder is None else load(save(fitted, folder, parity=found.dataset))


def _with_threshold(classifier: Classifier, threshold: float | None) -> Classifier:
    card = classifier.card
    if threshold is None:
        return classifier
    if card.positive is None:
        raise UsageError(f"`threshold` needs two classes, but the model has {len(card.classes)}")
    if not 0 < threshold < 1:
        raise UsageError(f"Expected `threshold` above 0 and below 1, but got {threshold:g}")
    return classifier.changed(card.changed(threshold=threshold))
