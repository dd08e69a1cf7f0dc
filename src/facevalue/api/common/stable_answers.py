"""Stable answers at the end of a calibration, if its settings ask for them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facevalue import decision
from facevalue.data.dataset import ImageDataset
from facevalue.evaluation.calibration import choose_confidence
from facevalue.evaluation.stability import with_stability
from facevalue.evidence.card import Abstention
from facevalue.evidence.findings import Finding, say
from facevalue.models.classifier import Classifier
from facevalue.models.features import Features
from facevalue.training.settings import CalibrationSettings


def with_stable_answers(
    classifier: Classifier, images: ImageDataset, own: Features, settings: CalibrationSettings
) -> tuple[Classifier, tuple[Finding, ...]]:
    """The classifier with stable answers, and what must be said of them; unchanged if ``settings.stable`` is 0.

    Parameters
    ----------
    classifier : calibrated.
    images, own : the calibration split and its features.
    """
    if not settings.stable:
        return classifier, ()
    card = classifier.card

    def limits(p: NDArray[np.float64]) -> Abstention:
        decided = decision.decide(p, card.positive_index, card.threshold)
        confidence = choose_confidence(p, own.y, settings.target, settings.floor, decided=decided)
        return card.abstention.changed(confidence=confidence)

    classifier, findings = with_stability(classifier, images, own, settings.stable, limits)
    say(findings)
    return classifier, findings
