"""What a model learned of new sources."""

from __future__ import annotations

from typing import TYPE_CHECKING

from facevalue.evidence.record import Record
from facevalue.support.frames import frame_of

if TYPE_CHECKING:
    import pandas as pd
from facevalue.evidence.records.base import Evidence, Identity, Interval
from facevalue.evidence.records.finetune import Change


class AdaptedSource(Record, frozen=True):
    """Figures for the images of one new source.

    ``after``, ``after_ci`` and ``known`` are cross-validated: each image is judged by a model that has not seen it.

    Attributes
    ----------
    label, source : class and name.
    n : images.
    before, after : share predicted correctly.
    known_before, known : share within the limit on the distance to the nearest source.
    """

    label: str
    source: str
    n: int
    before: float
    after: float
    after_ci: Interval
    known_before: float
    known: float


class AdaptReport(Evidence, frozen=True, tag="adapt"):
    """Effect of adding sources to ``model``: the new sources cross-validated, and the old test before and after.

    Attributes
    ----------
    sources : figures for each new source.
    balanced_accuracy : mean of the classes' cross-validated accuracy on the new images.
    auroc : cross-validated, over the new images; ``None`` if they are of one class.
    weight : of each new source, as a share of that of all known images together.
    left_out : new images that the model's own data already had.
    changes : on the old test images, if they were found.
    """

    model: str
    weights_sha256: str
    sources: tuple[AdaptedSource, ...]
    balanced_accuracy: float
    auroc: float | None
    weight: float
    left_out: int
    changes: tuple[Change, ...] = ()

    def identity(self) -> Identity:
        return (self.weights_sha256, self.provenance.fingerprint, self.provenance.created)

    def title(self) -> str:
        return f"new sources: {', '.join(f'{one.label}/{one.source}' for one in self.sources)}"

    def to_frame(self) -> pd.DataFrame:
        """One row per new source."""
        return frame_of([one.to_dict() for one in self.sources])
