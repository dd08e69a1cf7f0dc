"""The prediction for one image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from facevalue.marks.record import OriginMarks
from facevalue.support.html import ShownInNotebooks

Reason = Literal["novel", "unknown_source", "uncertain", "unstable", "no_face", "gate_unsure"]
"""Why a model abstains: the image is far from its training data, it is unlike the images of every source that the model
learned from, the probability is below the limit, versions of the image disagree, the image shows no face, or a face
that is too small, turned, faint, or one of several."""

IN_WORDS: dict[Reason, str] = {
    "novel": "novel (unlike the training images)",
    "unknown_source": "unknown_source (from no camera, collection or generator that the model learned from)",
    "uncertain": "uncertain (the probability is below the limit)",
    "unstable": "unstable (the answer changes when the image is changed a little)",
    "no_face": "no_face (the image shows no face)",
    "gate_unsure": "gate_unsure (the face is small, turned, faint, or one of several)",
}
"""The reasons for people."""


@dataclass(frozen=True)
class Prediction(ShownInNotebooks):
    """A label, or the reasons for abstaining, or an error.

    Attributes
    ----------
    label : the predicted class; ``None`` if the model abstains or the file could not be read.
    probabilities : calibrated, by class name in the model's order; they sum to 1. Empty when ``error`` is set, and for
        an image without a face.
    threshold : the probability from which the positive class is predicted (two classes only).
    reasons : why the model abstains; empty when it does not.
    novelty : distance from the training data, divided by the card's limit (above 1 is ``novel``).
    leaning : the predicted class, also if the model abstains; ``None`` if the file could not be read, or shows no
        face.
    heat : (h, w) float32 in [0, 1], the regions that support ``leaning``; only if requested and supported.
    path : the file, if there is one.
    error : why the file could not be read, else ``None``.
    too_large : whether the reason is that it has more pixels than allowed.
    face : number of the face in its image, the largest is 0; ``None`` if there is none, or if no faces were looked for.
    faces : number of faces in the image; ``None`` if no faces were looked for.
    box : left, top, width and height of the face in pixels of the upright image.
    detail : what the face gate says where it abstains, in words.
    marks : what the file says of its own origin, where it was asked for and there is a file. It is evidence of another
        kind: nothing else here depends on it.
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
    face: int | None = None
    faces: int | None = None
    box: tuple[int, int, int, int] | None = None
    detail: str | None = None
    marks: OriginMarks | None = None

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
        known = IN_WORDS if self.detail is None else {**IN_WORDS, "gate_unsure": f"gate_unsure ({self.detail})"}
        return "; ".join(known[reason] for reason in self.reasons)

    def named(self, path: str | None) -> Prediction:
        """The same for a file of this name."""
        return self if path is None else replace(self, path=path)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; the heat is left out, and ``marks`` is there only if it was asked for."""
        plain = {
            "path": self.path,
            "label": self.label,
            "probabilities": dict(self.probabilities),
            "abstained": self.abstained,
            "reasons": list(self.reasons),
            "leaning": self.leaning,
            "threshold": self.threshold,
            "novelty": self.novelty,
            "error": self.error,
            "face": self.face,
            "faces": self.faces,
            "box": None if self.box is None else list(self.box),
            "detail": self.detail,
        }
        return plain if self.marks is None else plain | {"marks": self.marks.to_dict()}
