"""The prediction for one image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from facevalue.support.html import ShownInNotebooks

Reason = Literal["novel", "uncertain"]
"""Why a model abstains: the image is far from its training data, or the probability is below the limit."""

IN_WORDS: dict[Reason, str] = {
    "novel": "novel (unlike the training images)",
    "uncertain": "uncertain (the probability is below the limit)",
}
"""The reasons for people."""


@dataclass(frozen=True)
class Prediction(ShownInNotebooks):
    """A label, or the reasons for abstaining, or an error.

    Attributes
    ----------
    label : the predicted class; ``None`` if the model abstains or the file could not be read.
    probabilities : calibrated, by class name in the model's order; they sum to 1. Empty when ``error`` is set.
    threshold : the probability from which the positive class is predicted (two classes only).
    reasons : why the model abstains; empty when it does not.
    novelty : distance from the training data, divided by the card's limit (above 1 is ``novel``).
    leaning : the predicted class, also if the model abstains; ``None`` if the file could not be read.
    heat : (h, w) float32 in [0, 1], the regions that support ``leaning``; only if requested and supported.
    path : the file, if there is one.
    error : why the file could not be read, else ``None``.
    too_large : whether the reason is that it has more pixels than allowed.
    """

    label: str | None
    probabilities: Mapping[str, float]
    threshold: float | None = None
    reasons: tuple[Reason, ...] = ()
    novelty: float | None = None
    leaning: str | None = None
    heat: NDArray[np.float32] | None = None
    path: str | None = None
    error: str | None = None
    too_large: bool = False

    @property
    def abstained(self) -> bool:
        """Whether the image was read and the model abstains."""
        return self.error is None and bool(self.reasons)

    @property
    def confidence(self) -> float | None:
        """Probability of ``leaning``, in [0, 1]."""
        return None if self.leaning is None else self.probabilities[self.leaning]

    @property
    def why(self) -> str:
        """The reasons in words; empty if the model does not abstain.

        >>> Prediction(None, {}, reasons=("novel", "uncertain")).why
        'novel (unlike the training images); uncertain (the probability is below the limit)'
        """
        return "; ".join(IN_WORDS[reason] for reason in self.reasons)

    def named(self, path: str | None) -> Prediction:
        """The same for a file of this name."""
        return self if path is None else replace(self, path=path)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; the heat is left out."""
        return {
            "path": self.path,
            "label": self.label,
            "probabilities": dict(self.probabilities),
            "abstained": self.abstained,
            "reasons": list(self.reasons),
            "leaning": self.leaning,
            "threshold": self.threshold,
            "novelty": self.novelty,
            "error": self.error,
        }
