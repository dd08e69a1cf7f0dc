"""``calibrate``: temperature and abstention limits fitted on other images."""

from __future__ import annotations

from pathlib import Path

import msgspec

from facevalue.api.common.inputs import Model, opened
from facevalue.api.common.model_folder import free_place, save
from facevalue.data.evaluation_data import calibration_data
from facevalue.data.scan import Data
from facevalue.evaluation.calibration import calibrated
from facevalue.evaluation.calibration_images import check_calibration_images
from facevalue.evidence.findings import say
from facevalue.evidence.provenance import current_command, now, recorded
from facevalue.models.classifier import Classifier, load
from facevalue.models.features import features_of
from facevalue.training.recipe import read
from facevalue.training.settings import CalibrationSettings


@recorded
def calibrate(model: Model, data: Data, output: Path | str | None = None) -> Classifier:
    """A new classifier whose temperature and abstention limits are fitted on other images; the weights stay.

    Evidence on the card was found with the old temperature, so the new card has none of it.

    Parameters
    ----------
    model : a classifier, or a model folder; it stays as it is.
    data : labelled images that the model has not learned from. Of data with splits, calibration is taken.
    output : the model folder to make; ``None`` keeps the classifier in memory.

    Raises
    ------
    UsageError
        ``output`` is taken.
    DataError
        ``data`` lacks a class, or has one that the model does not know; the model has learned from all of it; or its
        images are too few or wrongly labelled for the purpose.
    """
    folder = None if output is None else free_place(Path(output), overwrite=False)
    classifier = opened(model)
    origin = classifier.origin
    found = calibration_data(classifier.card, None if origin is None else origin.manifest, data)
    outputs = features_of(classifier, found.dataset)
    warnings = (*found.warnings, *check_calibration_images(classifier, found.dataset, outputs))
    say(warnings)
    # The model's own targets; a card made by hand has no recipe, and takes what the probe has.
    own = classifier.card.recipe.get("calibration")
    settings = read("probe").calibration if own is None else msgspec.convert(own, CalibrationSettings)
    fitted = calibrated(
        classifier,
        outputs,
        target=settings.target,
        floor=settings.floor,
        quantile=settings.quantile,
    )
    facts = fitted.card.data.changed(warnings=(*fitted.card.data.warnings, *warnings))
    provenance = fitted.card.provenance.changed(command=current_command(), created=now())
    card = fitted.card.changed(evidence=(), data=facts, provenance=provenance)
    fitted = fitted.changed(card)
    if folder is None:
        return fitted
    return load(save(fitted, folder, parity=found.dataset))
