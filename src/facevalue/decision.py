"""From probabilities to an answer, or to none: the one rule of evaluation, attacks, export and runtime."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facevalue.evidence.card import Abstention
from facevalue.types import Reason

Floats = NDArray[np.floating]


def decide(p: Floats, positive: int | None = None, threshold: float = 0.5) -> NDArray[np.int64]:
    """(n,) class decided for: the likeliest, or for two classes ``positive`` where its probability is >= ``threshold``.

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
    """(n,) masks, by reason, of images that a model does not answer.

    Parameters
    ----------
    leaning : (n,) calibrated probability of the class decided for.
    novelty : (n,) distance from the training data.

    >>> masks = abstentions(Abstention(confidence=0.6, novelty=2.0), np.array([0.9, 0.55]), np.array([2.5, 1.0]))
    >>> {reason: mask.tolist() for reason, mask in masks.items()}
    {'novel': [True, False], 'uncertain': [False, True]}
    """
    return {
        "novel": novelty > (np.inf if limits.novelty is None else limits.novelty),
        "uncertain": leaning < limits.confidence,
    }
