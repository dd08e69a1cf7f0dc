"""``calibrate``: fit temperature, calibration method and abstention limits on other images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from facevalue.api.common.inputs import Model, opened
from facevalue.api.common.model_folder import claimed, expect_other, save
from facevalue.api.common.stable_answers import with_stable_answers
from facevalue.data.evaluation_data import EvaluationData, calibration_data
from facevalue.data.groups import with_groups
from facevalue.data.manifest import Manifest
from facevalue.data.scan import Data
from facevalue.errors import UsageError
from facevalue.evaluation.calibration import calibrated
from facevalue.evaluation.calibration_images import check_calibration_images
from facevalue.evaluation.calibration_report import calibration_report
from facevalue.evidence.card import ModelCard
from facevalue.evidence.findings import say
from facevalue.evidence.provenance import current_command, now, recorded
from facevalue.images.versions import MOST
from facevalue.models.calibration import find
from facevalue.models.classifier import Classifier, load
from facevalue.models.features import Extractor
from facevalue.training.calibration_images import calibration_set
from facevalue.training.recipe import read
from facevalue.training.settings import CalibrationSettings


@recorded
def calibrate(
    model: Model,
    data: Data,
    output: Path | str | None = None,
    *,
    threshold: float | None = None,
    method: str | None = None,
    damage: Sequence[str] | None = None,
    max_error: float | None = None,
    max_false_positive: float | None = None,
    groups: str | None = None,
    classes: Mapping[str, str] | None = None,
    overwrite: bool = False,
    stable: int | None = None,
) -> Classifier:
    """Fit the calibration and the abstention limits on other images. Returns a new classifier with the same weights.

    The new card has no other evidence, because that was measured with the old probabilities and threshold.

    Parameters
    ----------
    model : a classifier, or a model folder; not changed.
    data : labelled images that were not used to train the model. If it has splits, calibration is used.
    output : the model folder to create; ``None`` keeps the classifier in memory.
    threshold : the calibrated probability, above 0 and below 1, from which the positive class is predicted; by default
        the model's. The limits are fitted to it. Only for two classes.
    method, damage, max_error, max_false_positive : see
        :class:`~facevalue.training.settings.CalibrationSettings`; by default as in the model's recipe. An empty
        ``damage`` calibrates on the images as they are.
    groups : images that are alike, as for :func:`facevalue.train`; a promise counts groups, and they stay together in
        cross-validation.
    classes : as for :func:`facevalue.evaluate`.
    overwrite : replace an existing model folder, but never ``model``.
    stable : make each answer from so many versions of the network input, 2 to 7, with limits chosen so that few answers
        flip when an image is saved again; 0 for one network input. By default as in the model's recipe.

    Raises
    ------
    UsageError
        ``output`` exists already, the threshold is out of range, or what is asked for does not exist or is for two
        classes only.
    FaceValueError
        Another process is writing ``output``.
    DataError
        ``data`` lacks a class or has an unknown one; the model was trained on all of it; or there are too few images,
        or their labels seem exchanged.
    """
    if stable is not None and stable != 0 and not 2 <= stable <= MOST:
        raise UsageError(f"Expected `stable` from 2 to {MOST} network inputs, or 0 for one, but got {stable}")
    with claimed(output, overwrite) as folder:
        before = opened(model)
        expect_other(folder, before.folder)
        classifier = _with_threshold(before, threshold)
        asked = {
            "method": method,
            "damage": damage,
            "max_error": max_error,
            "max_false_positive": max_false_positive,
            "stable": stable,
        }
        settings = _settings(classifier.card, asked)
        settings.choices().methods(len(classifier.classes))  # wrong use is told before the images are read
        origin = classifier.origin
        known = None if origin is None else origin.manifest
        found = calibration_data(classifier.card, known, data, classes, classifier.gate)
        dataset = replace(found.dataset, rows=found.dataset.rows.assign(group=_groups(found, groups)))
        extractor = Extractor(classifier)
        outputs = extractor.of(dataset)
        warnings = (*found.warnings, *check_calibration_images(classifier, dataset, outputs))
        say(warnings)
        held_out = calibration_set(extractor, dataset, outputs, settings)
        fitted = calibrated(classifier, held_out, settings.choices())
        report = calibration_report(fitted, held_out, dataset)
        say(report.warnings)
        fitted, unsure = with_stable_answers(fitted, dataset, held_out, settings)
        warnings = (*warnings, *unsure)
        facts = fitted.card.data.changed(warnings=(*fitted.card.data.warnings, *warnings))
        provenance = fitted.card.provenance.changed(command=current_command(), created=now())
        card = fitted.card.changed(evidence=(report,), data=facts, provenance=provenance)
        fitted = fitted.changed(card)
        return fitted if folder is None else load(save(fitted, folder, overwrite=overwrite, parity=found.dataset))


def _with_threshold(classifier: Classifier, threshold: float | None) -> Classifier:
    card = classifier.card
    if threshold is None:
        return classifier
    if card.positive is None:
        raise UsageError(f"`threshold` needs two classes, but the model has {len(card.classes)}")
    if not 0 < threshold < 1:
        raise UsageError(f"Expected `threshold` above 0 and below 1, but got {threshold:g}")
    return classifier.changed(card.changed(threshold=threshold))


def _settings(card: ModelCard, asked: dict[str, Any]) -> CalibrationSettings:
    """The settings of the model's recipe with changes; a card without a recipe has those of the probe."""
    if asked["method"] not in (None, "auto"):
        find(asked["method"])
    own = card.recipe.get("calibration")
    plain = msgspec.to_builtins(read("probe").calibration) if own is None else own
    try:
        return msgspec.convert(
            {**plain, **{name: value for name, value in asked.items() if value is not None}}, CalibrationSettings
        )
    except msgspec.ValidationError as error:
        raise UsageError(str(error)) from error


def _groups(found: EvaluationData, how: str | None) -> list[str]:
    """(n,) group of each image, with near-duplicates in one group."""
    grouped = with_groups(Manifest(found.rows, str(found.dataset.source)), how)
    return [str(group) for group in grouped.table["group"]]
