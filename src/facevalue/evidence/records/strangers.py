"""Answers to images that belong to no class."""

from __future__ import annotations

from typing import TYPE_CHECKING

from facevalue.evidence.record import Record
from facevalue.support.frames import frame_of

if TYPE_CHECKING:
    import pandas as pd
from facevalue.evidence.records.base import Evidence, Identity, Interval


class StrangerFigures(Record, frozen=True):
    """How often the images of one set that must be refused are answered.

    Attributes
    ----------
    answered : share of them that the model answers, with a 95 % Wilson interval.
    auroc : of novelty, these against the model's own images: 1 if every one of them is more novel than those.
    answered_as : number of answered images by predicted class.
    """

    name: str
    n: int
    answered: float
    answered_ci: Interval
    auroc: float
    answered_as: dict[str, int] = {}


class StrangerReport(Evidence, frozen=True, tag="strangers"):
    """Share of images of other kinds (strangers) that a model answers instead of refusing them.

    Attributes
    ----------
    strangers, strangers_fingerprint : where they come from. The provenance is of the model's own images.
    score : the novelty score.
    answered_own : share of the model's own images that it answers, with a 95 % Wilson interval.
    """

    strangers: str
    strangers_fingerprint: str
    score: str
    answered_own: float
    answered_own_ci: Interval
    sets: tuple[StrangerFigures, ...]

    def identity(self) -> Identity:
        return (self.split, self.provenance.fingerprint, self.strangers_fingerprint)

    def title(self) -> str:
        return f"strangers: {', '.join(one.name for one in self.sets[:3])}" + (", …" if len(self.sets) > 3 else "")

    def to_frame(self) -> pd.DataFrame:
        """One row per set."""
        return frame_of([row.to_dict() for row in self.sets])
