"""From probabilities to a prediction or an abstention: one rule for evaluation, attacks, export and runtime."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from facevalue.errors import ImageError, ImageTooLargeError
from facevalue.evidence.card import Abstention, ModelCard
from facevalue.faces.gate import Seen
from facevalue.types import Prediction, Reason

Floats = NDArray[np.floating]


def decide(p: Floats, positive: int | None = None, threshold: float = 0.5) -> NDArray[np.int64]:
    """(n,) predicted class: the most probable; with ``positive``, that class if its probability is >= ``threshold``.

    >>> decide(np.array([[0.35, 0.65]]), positive=1, threshold=0.7).tolist()
    [0]
    """
    decided: NDArray[np.int64]
    if positive is None:
        decided = p.argmax(axis=1).astype(np.int64)
    else:
        decided = np.where(p[:, positive] >= threshold, positive, 1 - positive).astype(np.int64)
    return decided


def abstentions(limits: Abstention, leaning: Floats, novelty: Floats) -> dict[Reason, NDArray[np.bool_]]:
    """(n,) masks, by reason, of the images on which a model abstains.

    Parameters
    ----------
    leaning : (n,) calibrated probability of the predicted class.
    novelty : (n,) distance from the training data.

    >>> masks = abstentions(Abstention(confidence=0.6, novelty=2.0), np.array([0.9, 0.55]), np.array([2.5, 1.0]))
    >>> {reason: mask.tolist() for reason, mask in masks.items()}
    {'novel': [True, False], 'uncertain': [False, True]}
    """
    return {
        "novel": novelty > (np.inf if limits.novelty is None else limits.novelty),
        "uncertain": leaning < limits.confidence,
    }


def prediction_of(
    card: ModelCard, p: Floats, novelty: float, heat: NDArray[np.float32] | None = None, path: str | None = None
) -> Prediction:
    """The prediction for one image.

    Parameters
    ----------
    p : (k,) calibrated probabilities, in the order of ``card.classes``.
    novelty : distance from the training data.
    heat : (h, w) class activation map of the predicted class; scaled here to a maximum of 1.
    path : the image's file, if there is one.
    """
    limit = card.abstention.novelty
    winner = int(decide(p[None], card.positive_index, card.threshold)[0])
    masks = abstentions(card.abstention, p[winner : winner + 1], np.array([novelty]))
    reasons = tuple(reason for reason, mask in masks.items() if mask[0])
    leaning = card.classes[winner]
    return Prediction(
        label=None if reasons else leaning,
        probabilities={label: float(value) for label, value in zip(card.classes, p, strict=True)},
        threshold=None if card.positive is None else card.threshold,
        reasons=reasons,
        novelty=None if limit is None else float(novelty) / limit,
        leaning=leaning,
        heat=None if heat is None else _scaled(heat),
        path=path,
    )


def of_face(prediction: Prediction, seen: Seen) -> Prediction:
    """A prediction on a face, with its box; the model abstains where the gate is unsure."""
    reasons = prediction.reasons if seen.reason is None else (seen.reason, *prediction.reasons)
    return replace(
        prediction,
        label=None if reasons else prediction.label,
        reasons=reasons,
        face=seen.face,
        faces=seen.faces,
        box=seen.box,
        detail=seen.detail,
    )


def without_face(seen: Seen, path: str | None = None) -> Prediction:
    """The prediction for an image without a face: no label and no probabilities, because the network was not asked."""
    return of_face(Prediction(label=None, probabilities={}, path=path), seen)


def unreadable(error: ImageError, path: str | None = None) -> Prediction:
    """The prediction for a file that is not a readable image: no label, and the reason as ``error``."""
    too_large = isinstance(error, ImageTooLargeError)
    return Prediction(label=None, probabilities={}, path=path, error=str(error), too_large=too_large)


def _scaled(heat: NDArray[np.float32]) -> NDArray[np.float32]:
    """(h, w) in [0, 1]; all zero if no region supports the class."""
    top = float(heat.max())
    return heat / np.float32(top) if top > 0 else np.zeros_like(heat)
