"""Content Credentials that were not checked: counted, and said once."""

from __future__ import annotations

from collections import Counter
from typing import final

from facevalue.evidence.findings import Finding, finding
from facevalue.types import Prediction


@final
class UncheckedMarks:
    """Counts predictions whose files have Content Credentials that were not checked."""

    def __init__(self) -> None:
        self._reasons: Counter[str] = Counter()

    def add(self, prediction: Prediction) -> None:
        """Count an image; of several faces of one image, only the first."""
        marks = prediction.marks
        if marks is not None and marks.credentials.state == "not_checked" and not prediction.face:
            self._reasons[str(marks.credentials.detail)] += 1

    @property
    def findings(self) -> list[Finding]:
        """One for each reason."""
        return [
            finding("credentials-not-checked", f"{_images(n)} Content Credentials that were not checked: {why}", n=n)
            for why, n in self._reasons.items()
        ]


def _images(n: int) -> str:
    return "1 image has" if n == 1 else f"{n:,} images have"
