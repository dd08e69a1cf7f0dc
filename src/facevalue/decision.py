"""From probabilities to a prediction or an abstention: one rule for evaluation, attacks, export and runtime."""

from __future__ import annotations

from dataclasses import dataclass, replace

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


@dataclass(frozen=True, eq=False)
class Combined:
    """Stable answers from several versions of each network input.

    Attributes
    ----------
    p : (n, k) calibrated probabilities of the answers.
    unstable : (n,) whether the versions disagree.
    """

    p: NDArray[np.float64]
    unstable: NDArray[np.bool_]


def combined(card: ModelCard, versions: Floats) -> Combined:
    """One answer from the versions of each network input, by the card's :class:`~facevalue.evidence.card.Stability`.

    Parameters
    ----------
    versions : (v, n, k) calibrated probabilities of each version.
    """
    assert card.stability is not None
    p = mean_of_versions(versions, card.stability.temperature)
    decided = decide(p, card.positive_index, card.threshold)
    votes = np.array([decide(one, card.positive_index, card.threshold) for one in versions])
    return Combined(p, (votes != decided).any(axis=0) | (support_of(versions, decided) < card.stability.support))


def mean_of_versions(versions: Floats, temperature: float = 1.0) -> NDArray[np.float64]:
    """(n, k) mean of the probabilities (v, n, k) of the versions; its logarithms are divided by ``temperature``."""
    mean: NDArray[np.float64] = versions.astype(np.float64).mean(axis=0)
    if temperature != 1:
        logits = np.log(mean.clip(1e-12)) / temperature
        mean = np.exp(logits - logits.max(axis=1, keepdims=True))
    whole: NDArray[np.float64] = mean / mean.sum(axis=1, keepdims=True)
    return whole


def support_of(versions: Floats, decided: NDArray[np.int64]) -> NDArray[np.float64]:
    """(n,) lowest probability that a version (v, n, k) gives the predicted class (n,)."""
    lowest: NDArray[np.float64] = versions[:, np.arange(len(decided)), decided].min(axis=0).astype(np.float64)
    return lowest


def abstentions(
    limits: Abstention,
    leaning: Floats,
    novelty: Floats,
    positive: NDArray[np.bool_] | None = None,
    unstable: NDArray[np.bool_] | None = None,
) -> dict[Reason, NDArray[np.bool_]]:
    """(n,) masks, by reason, of the images on which a model abstains.

    Parameters
    ----------
    leaning : (n,) calibrated probability of the predicted class.
    novelty : (n,) distance from the training data.
    positive : (n,) whether the predicted class is the positive one; needed where ``limits`` has ``upper`` or ``lower``.
    unstable : (n,) of :func:`combined`; ``None`` if an answer is made from one network input.

    >>> masks = abstentions(Abstention(confidence=0.6, novelty=2.0), np.array([0.9, 0.55]), np.array([2.5, 1.0]))
    >>> {reason: mask.tolist() for reason, mask in masks.items()}
    {'novel': [True, False], 'uncertain': [False, True]}
    """
    masks: dict[Reason, NDArray[np.bool_]] = {
        "novel": novelty > (np.inf if limits.novelty is None else limits.novelty),
        **({} if limits.source is None else {"unknown_source": novelty > limits.source}),
        # In double precision, as in a browser: a float32 limit would be rounded.
        "uncertain": np.asarray(leaning, np.float64) < least(limits, positive),
    }
    return masks if unstable is None else {**masks, "unstable": unstable}


def least(limits: Abstention, positive: NDArray[np.bool_] | None) -> Floats | float:
    """The probability of the predicted class from which it is answered: one for all, or (n,) one for each image."""
    if positive is None or (limits.upper is None and limits.lower is None):
        return limits.confidence
    for_positive = limits.confidence if limits.upper is None else max(limits.confidence, limits.upper)
    for_negative = limits.confidence if limits.lower is None else max(limits.confidence, 1 - limits.lower)
    return np.where(positive, for_positive, for_negative)


def prediction_of(
    card: ModelCard,
    p: Floats,
    novelty: float,
    heat: NDArray[np.float32] | None = None,
    path: str | None = None,
    unstable: bool = False,
) -> Prediction:
    """The prediction for one image.

    Parameters
    ----------
    p : (k,) calibrated probabilities, in the order of ``card.classes``.
    novelty : distance from the training data.
    unstable : whether the versions of the network input disagree.
    heat : (h, w) class activation map of the predicted class; scaled here to a maximum of 1.
    path : the image's file, if there is one.
    """
    limit = card.limits.novelty
    winner = int(decide(p[None], card.positive_index, card.threshold)[0])
    sided = np.array([winner == card.positive_index])
    masks = abstentions(card.limits, p[winner : winner + 1], np.array([novelty]), sided, np.array([unstable]))
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
