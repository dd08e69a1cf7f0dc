"""Stable answers at the end of a calibration, if its settings ask for them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from facevalue.data.dataset import ImageDataset
from facevalue.evaluation.answer_limits import Answerable, answer_limits, parts_of
from facevalue.evaluation.calibration_set import CalibrationSet
from facevalue.evaluation.stability import with_stability
from facevalue.evidence.card import Abstention
from facevalue.evidence.findings import Finding, say
from facevalue.models.classifier import Classifier
from facevalue.training.settings import CalibrationSettings


def with_stable_answers(
    classifier: Classifier, images: ImageDataset, held_out: CalibrationSet, settings: CalibrationSettings
) -> tuple[Classifier, tuple[Finding, ...]]:
    """The classifier with stable answers, and what must be said of them; unchanged if ``settings.stable`` is 0.

    Their limits and promises are chosen on the images as they are; those of single answers also hold after damage.

    Parameters
    ----------
    classifier : calibrated.
    images : the calibration split.
    held_out : its features.
    """
    if not settings.stable:
        return classifier, ()
    card, choices = classifier.card, settings.choices()
    rows = replace(held_out, damaged=()).rows(classifier)
    _, limiting = parts_of(rows, choices, choices.methods(len(card.classes)))
    novelty = held_out.images.novelty(classifier)
    far = novelty > (np.inf if card.abstention.novelty is None else card.abstention.novelty)

    def limits(p: NDArray[np.float64]) -> Abstention:
        part = Answerable(rows.take(limiting), p[limiting], far[limiting], held_out.sources)
        return answer_limits(card, part, choices).changed(
            novelty=card.abstention.novelty, source=card.abstention.source, n=len(rows)
        )

    classifier, findings = with_stability(classifier, images, held_out.images, settings.stable, limits)
    say(findings)
    return classifier, findings
