"""Probabilities before and after calibration, on images as they are and after everyday damage."""

from __future__ import annotations

import time

import numpy as np
import torch
from numpy.typing import NDArray

from facevalue import decision
from facevalue.data.dataset import ImageDataset
from facevalue.evaluation.calibration_choice import cross_validated
from facevalue.evaluation.calibration_set import CalibrationSet
from facevalue.evaluation.probability_figures import probability_figures
from facevalue.evaluation.promise_findings import promise_findings
from facevalue.evidence.card import ModelCard
from facevalue.evidence.provenance import Provenance
from facevalue.evidence.records import CalibrationReport, ConditionFigures
from facevalue.models.classifier import Classifier


def calibration_report(
    classifier: Classifier, held_out: CalibrationSet, dataset: ImageDataset, *, own: bool = True
) -> CalibrationReport:
    """The report on the images of ``held_out``.

    Parameters
    ----------
    dataset : the images of ``held_out``, for the provenance.
    own : the classifier was calibrated on these images, so each image's probabilities are taken from a fit of the same
        method without its group, and the report holds what to know of the promises.
    """
    start = time.perf_counter()
    card, rows = classifier.card, held_out.rows(classifier)
    before = torch.softmax(torch.from_numpy(rows.logits), dim=1).numpy()
    if own:
        after = cross_validated(rows, [card.calibration.method])[card.calibration.method]
    else:
        after = classifier.calibrated(torch.from_numpy(rows.logits)).numpy()
    novelty = np.concatenate([part.features.novelty(classifier) for part in held_out.conditions])
    names = np.array([str(group) for group in held_out.groups] or [""] * len(held_out.images), dtype=object)
    conditions = []
    for i, name in enumerate(rows.names):
        here = rows.conditions == i
        groups = [str(group) for group in names[rows.images[here]]]
        y = rows.labels[here]
        error, coverage, accuracy = _answers(card, y, after[here], novelty[here])
        conditions.append(
            ConditionFigures(
                condition=name,
                n=len(y),
                accuracy=accuracy,
                coverage=coverage,
                error_answered=error,
                before=probability_figures(y, before[here], groups),
                after=probability_figures(y, after[here], groups),
            )
        )
    return CalibrationReport(
        classes=card.classes,
        method=card.calibration.method,
        cross_validated=own,
        conditions=tuple(conditions),
        warnings=promise_findings(card) if own else (),
        provenance=Provenance.of(dataset, start),
    )


def _answers(
    card: ModelCard, y: NDArray[np.int64], p: NDArray[np.float64], novelty: NDArray[np.float64]
) -> tuple[float | None, float, float]:
    """Error among answered images, coverage, and accuracy on all images."""
    decided = decision.decide(p, card.positive_index, card.threshold)
    leaning = p[np.arange(len(y)), decided]
    why = decision.abstentions(card.abstention, leaning, novelty, decided == card.positive_index)
    answered = ~np.logical_or.reduce(list(why.values()))
    wrong = decided != y
    return (float(wrong[answered].mean()) if answered.any() else None), float(answered.mean()), float(1 - wrong.mean())
