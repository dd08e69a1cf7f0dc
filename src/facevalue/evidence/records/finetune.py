"""What a fine-tuning changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from facevalue.evidence.record import Record
from facevalue.support.frames import frame_of

if TYPE_CHECKING:
    import pandas as pd
from facevalue.evidence.records.base import Evidence, Identity, Interval


class Change(Record, frozen=True):
    """Accuracy on the same images before and after.

    ``lost`` images were correct before and are wrong now, ``won`` the other way round. ``change_ci`` is a paired
    interval.
    """

    images: str
    n: int
    before: float
    before_ci: Interval
    after: float
    after_ci: Interval
    change: float
    change_ci: Interval
    lost: int
    won: int


class FinetuneReport(Evidence, frozen=True, tag="finetune"):
    """Effect of fine-tuning ``model`` on hard images: accuracy before and after, on old and hard test images.

    Attributes
    ----------
    stages : what was trained: ``head``, the number of last stages, or ``all``.
    replay : old training images per hard one; ``replayed`` is their total number.
    left_out : hard images that the model's own data already had.
    changes : on the old test images, then on the hard ones.
    """

    model: str
    weights_sha256: str
    stages: str
    replay: float
    replayed: int
    left_out: int
    changes: tuple[Change, ...]

    def identity(self) -> Identity:
        return (self.weights_sha256, self.stages, self.provenance.fingerprint, self.provenance.created)

    def title(self) -> str:
        return f"fine-tuning on {self.provenance.source}"

    def to_frame(self) -> pd.DataFrame:
        """One row for the old test images and one for the hard ones, before and after."""
        return frame_of([one.to_dict() for one in self.changes])
