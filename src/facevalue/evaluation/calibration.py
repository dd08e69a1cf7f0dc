"""Calibration of probabilities, and the limits of abstention. Both are fitted on the calibration split."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from facevalue.errors import DataError
from facevalue.evaluation.answer_limits import Answerable, CalibrationChoices, answer_limits, parts_of
from facevalue.evaluation.calibration_choice import Fitted, chosen
from facevalue.evaluation.calibration_set import CalibrationSet
from facevalue.evidence.card import Calibration, ModelCard
from facevalue.evidence.score_reference import ScoreReference
from facevalue.models.classifier import Classifier

Floats = NDArray[np.floating]


def novelty_limit(novelty: Floats, quantile: float = 0.95) -> float:
    """The distance that a calibration-like image exceeds with a probability of at most 1 - ``quantile``.

    The conformal order statistic (Vovk et al. 2005): the ceil((n + 1) quantile)-th smallest distance. With too few
    images for it, 1.1 times the largest.
    """
    ordered = np.sort(novelty)
    rank = math.ceil((len(ordered) + 1) * quantile)
    return float(ordered[rank - 1] if rank <= len(ordered) else ordered[-1] * 1.1)


@dataclass(frozen=True, eq=False)
class Unseen:
    """Novelty of images of the classes that the score was not fitted with, besides the calibration split.

    Attributes
    ----------
    scores : of training images, each by a score that was fitted without its group.
    room : the limit is at least this.
    """

    scores: Floats = field(default_factory=lambda: np.empty(0))
    room: float = 0.0


def calibrated(
    classifier: Classifier, held_out: CalibrationSet, choices: CalibrationChoices, unseen: Unseen | None = None
) -> Classifier:
    """A classifier with temperature, calibration method and limits of abstention fitted on ``held_out``.

    Each answer is then made from one network input.

    Parameters
    ----------
    held_out : features of the calibration split, which is used in no training and is not the test split.
    unseen : what further images that the novelty score does not know reach.

    Raises
    ------
    DataError
        A class has no image in ``held_out``.
    UsageError
        What is asked for is defined for two classes only.
    """
    card: ModelCard = classifier.card
    absent = [c for i, c in enumerate(card.classes) if not (held_out.images.y == i).any()]
    if absent:
        raise DataError(f"calibration needs images of every class, but there are none of {', '.join(absent)}")
    methods = choices.methods(len(card.classes))
    rows = held_out.rows(classifier)
    fitting, limiting = parts_of(rows, choices, methods)
    method, log_loss = chosen(rows.take(fitting), methods) if len(methods) > 1 else (methods[0], {})
    fitted = Fitted.on(rows.take(fitting), method)
    calibration = Calibration(
        method=method, parameters=dict(fitted.parameters), images=held_out.counts, log_loss=log_loss
    )
    card = card.changed(temperature=fitted.temperature, calibration=calibration, stability=None)
    novelty = held_out.images.novelty(classifier)
    unseen = unseen or Unseen()
    limit = max(novelty_limit(np.concatenate([novelty, unseen.scores]), choices.quantile), unseen.room)
    far = np.concatenate([part.features.novelty(classifier) for part in held_out.conditions]) > limit
    part = Answerable(rows.take(limiting), fitted.probabilities(rows.logits[limiting]), far[limiting], held_out.sources)
    abstention = answer_limits(card, part, choices).changed(
        novelty=limit, source=classifier.card.abstention.source, n=len(held_out.images)
    )
    logits = held_out.images.logits(classifier).double().numpy()
    reference = ScoreReference.of("calibration", novelty, logits, held_out.detail, held_out.jpeg_quality)
    return classifier.changed(card.changed(abstention=abstention, reference=reference))
