"""Faithfulness of the methods that explain a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from facevalue.evidence.record import Record
from facevalue.support.frames import frame_of

if TYPE_CHECKING:
    import pandas as pd
from facevalue.evidence.records.base import Evidence, Identity, Interval


class ExplanationFigures(Record, frozen=True):
    """The faithfulness of one method. Figures are means over ``n`` images, with 95 % intervals (Student's t).

    Attributes
    ----------
    n : images with heat; ``empty`` more have none, and count in no figure.
    insertion, deletion : areas in [0, 1] under the probability of the explained class while the hottest pixels come
        back first into the blurred image, and while they are blurred first; ``None`` without heat.
    gain : insertion less deletion of the same image. 0 on average for a heat that knows nothing of the model.
    rank_correlation : Spearman's, of the heat of this model and of the model with its weights shuffled, over
        ``rank_correlation_n`` images; near 1 if the heat does not depend on the weights.
    vanished : images whose heat is the same everywhere with shuffled weights: no correlation is defined for them.
    seconds_per_image : to explain, on the machine of the provenance; ``None`` if it was not timed.
    """

    method: str
    n: int
    empty: int
    insertion: float | None
    insertion_ci: Interval | None
    deletion: float | None
    deletion_ci: Interval | None
    gain: float | None
    gain_ci: Interval | None
    rank_correlation: float | None
    rank_correlation_ci: Interval | None
    rank_correlation_n: int
    vanished: int
    seconds_per_image: float | None = None


class ExplanationReport(Evidence, frozen=True, tag="explanations"):
    """How faithful heat maps are to a model, by method.

    Attributes
    ----------
    random_insertion, random_deletion : the areas for random patches instead of heat.
    refused : why a method cannot explain this model, by method.
    """

    random_insertion: float
    random_deletion: float
    results: tuple[ExplanationFigures, ...]
    refused: dict[str, str] = {}

    def identity(self) -> Identity:
        return (self.split, self.provenance.fingerprint, *(r.method for r in self.results))

    def title(self) -> str:
        return f"explanations on {self.split}"

    def to_frame(self) -> pd.DataFrame:
        """One row per method."""
        return frame_of([row.to_dict() for row in self.results])
