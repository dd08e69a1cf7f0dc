"""An estimate of accuracy on a stream of images without labels."""

from __future__ import annotations

from collections import deque
from typing import Any, final

LATEST = 500
"""Images that the estimate is of: the latest ones."""

METHOD = "average confidence"


@final
class AccuracyEstimate:
    """The mean calibrated probability of the predicted class over the latest images. Not safe to share by threads.

    It is the accuracy while the probabilities are calibrated for these images, and that is what a change takes away:
    the estimate moves less than the accuracy does. ``benchmarks/drift.py`` has its error on changed images, beside two
    other methods: average thresholded confidence (Garg et al. 2022, arXiv:2201.04234), which was further off, and the
    difference of confidences (Guillory et al. 2021, arXiv:2107.03315), which was as far off and needs the calibration
    images as well.
    """

    def __init__(self) -> None:
        self._confidences: deque[float] = deque(maxlen=LATEST)

    def add(self, confidence: float) -> None:
        """Take in an image's calibrated probability of the predicted class."""
        self._confidences.append(confidence)

    @property
    def value(self) -> float | None:
        """The estimate in [0, 1]; ``None`` before the first image."""
        return sum(self._confidences) / len(self._confidences) if self._confidences else None

    def to_dict(self) -> dict[str, Any]:
        """The estimate, its method, and the number of images that it is of."""
        return {"value": self.value, "method": METHOD, "images": len(self._confidences)}
