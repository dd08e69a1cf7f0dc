"""Calibration of probabilities, and the limits of abstention. Both are fitted on the calibration split."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facevalue import decision
from facevalue.errors import DataError
from facevalue.evidence.card import Abstention, ModelCard
from facevalue.evidence.score_reference import ScoreReference
from facevalue.models.classifier import Classifier
from facevalue.models.features import Features

Floats = NDArray[np.floating]

TEMPERATURES = (0.05, 200.0)
"""Allowed range. A defensively distilled network needs its distillation temperature, 20 or more, with some margin."""


def fit_temperature(logits: Tensor, labels: NDArray[np.int64]) -> float:
    """The temperature with the highest likelihood on held-out images (Guo et al. 2017, arXiv:1706.04599).

    L-BFGS on its logarithm. A standard normal prior on the logarithm, which weighs less than one image, keeps the
    temperature finite if every calibration image is classified correctly; otherwise its effect is negligible.

    Parameters
    ----------
    logits : (n, k) in eval mode, of images that were not used in training.
    labels : (n,) int.
    """
    scores, truth = logits.double(), torch.from_numpy(labels)
    log_t = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([log_t], lr=0.5, max_iter=200, tolerance_grad=1e-9, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        fit = torch.nn.functional.cross_entropy(scores / log_t.exp(), truth, reduction="sum")
        loss = (fit + 0.5 * log_t.square()) / len(truth)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    return float(np.clip(math.exp(log_t.item()), *TEMPERATURES))


def choose_confidence(
    p: Floats,
    labels: NDArray[np.int64],
    target: float = 0.95,
    floor: float = 0.6,
    coverage: float = 0.5,
    decided: NDArray[np.int64] | None = None,
) -> float:
    """The lowest confidence limit that reaches the ``target`` accuracy (Geifman & El-Yaniv 2017).

    Parameters
    ----------
    p : (n, k) calibrated probabilities of the calibration split.
    labels : (n,) int.
    target : wanted accuracy on the answered images of the calibration split.
    floor : lowest allowed limit.
    coverage : smallest share of images to answer. If ``target`` needs more abstentions, it is not reached, as the
        evaluation then shows.
    decided : (n,) predicted classes; the most probable ones by default. A threshold makes others.

    Returns
    -------
    A probability in [0, 1].
    """
    decided = p.argmax(axis=1) if decided is None else decided
    confidence = p[np.arange(len(p)), decided]
    order = np.argsort(-confidence, kind="stable")
    right = np.cumsum(decided[order] == labels[order]) / np.arange(1, len(order) + 1)
    sorted_confidence = confidence[order]
    # A limit can only lie between two different confidences.
    ends = np.append(sorted_confidence[1:] < sorted_confidence[:-1], True)
    enough = np.arange(1, len(order) + 1) >= coverage * len(order)
    good = np.flatnonzero(ends & (right >= target) & enough)
    if len(good) and good[-1] == len(order) - 1:
        return floor  # the target is reached with all images answered
    # Halfway to the first image below the limit, so that rounding in another engine does not change a prediction.
    last = good[-1] if len(good) else np.flatnonzero(ends & enough)[0]
    following = sorted_confidence[last + 1] if last + 1 < len(order) else sorted_confidence[last]
    return max(floor, float(sorted_confidence[last] + following) / 2)


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
    classifier: Classifier,
    held_out: Features,
    *,
    target: float = 0.95,
    floor: float = 0.6,
    quantile: float = 0.95,
    unseen: Unseen | None = None,
) -> Classifier:
    """A classifier with temperature and abstention limits fitted on ``held_out``.

    Parameters
    ----------
    held_out : features of the calibration split, which is used in no training and is not the test split.
    target, floor : see :func:`choose_confidence`.
    quantile : see :func:`novelty_limit`.
    unseen : what further images that the novelty score does not know reach.

    Raises
    ------
    DataError
        A class has no image in ``held_out``.
    """
    card: ModelCard = classifier.card
    absent = [c for i, c in enumerate(card.classes) if not (held_out.y == i).any()]
    if absent:
        raise DataError(f"calibration needs images of every class, but there are none of {', '.join(absent)}")
    card = card.changed(temperature=fit_temperature(held_out.logits(classifier), held_out.y))
    classifier = classifier.changed(card)
    p = held_out.probabilities(classifier)
    decided = decision.decide(p, card.positive_index, card.threshold)
    unseen = unseen or Unseen()
    measured = np.concatenate([held_out.novelty(classifier), unseen.scores])
    abstention = Abstention(
        confidence=choose_confidence(p, held_out.y, target, floor, decided=decided),
        novelty=max(novelty_limit(measured, quantile), unseen.room),
        target=target,
        n=len(held_out.y),
    )
    reference = ScoreReference.of(
        "calibration", held_out.novelty(classifier), held_out.logits(classifier).double().numpy()
    )
    return classifier.changed(card.changed(abstention=abstention, reference=reference))
