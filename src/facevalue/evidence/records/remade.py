"""Answers after other programs saved the images again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from facevalue.evidence.record import Record
from facevalue.support.frames import frame_of

if TYPE_CHECKING:
    import pandas as pd
from facevalue.evidence.records.base import Evidence, Identity, Interval


class PipelineFigures(Record, frozen=True):
    """A model on images that one declared pipeline has re-made; see :mod:`facevalue.images.remaking`.

    ``accuracy`` counts all images, ``accuracy_answered`` those with an answer. ``answers`` is the number of images that
    are answered both as they are and re-made; ``flips`` counts those of them whose label differs, with an exact
    (Clopper-Pearson) interval. ``rates`` is the share of all images by predicted class, answered or not.
    """

    pipeline: str
    kind: str
    steps: str
    n: int
    accuracy: float
    accuracy_ci: Interval
    coverage: float
    accuracy_answered: float | None
    answers: int
    flips: int
    flip_rate: float | None
    flip_rate_ci: Interval | None
    rates: dict[str, float]


class RateGap(Record, frozen=True):
    """The largest difference between two pipelines in how often a class is the most probable one, on the same images.

    The interval is paired, and holds for all pairs of pipelines and all classes at once.
    """

    label: str
    highest: str
    highest_rate: float
    lowest: str
    lowest_rate: float
    gap: float
    gap_ci: Interval


class RemadeReport(Evidence, frozen=True, tag="remade"):
    """A model on the same images as they are and re-made by declared pipelines.

    Attributes
    ----------
    original_accuracy, original_coverage, original_rates : of the images as they are.
    answers, flips : pairs of an image and a pipeline that are answered as the image is and re-made, and those of them
        with two different labels; ``flip_rate`` has a 95 % bootstrap interval over images.
    images_answered, images_flipped : images with such a pair, and those with a flip in any pipeline; exact interval.
    explained_by_label, explained_by_processing : shares of the variance of the probabilities that the labels and the
        pipelines explain; ``explained_difference_ci`` is a 95 % interval of the second minus the first.
    inputs : network inputs that an answer was made from, see :class:`~facevalue.evidence.card.Stability`.
    results : by pipeline.
    """

    classes: tuple[str, ...]
    original_accuracy: float
    original_accuracy_ci: Interval
    original_coverage: float
    original_rates: dict[str, float]
    answers: int
    flips: int
    flip_rate: float | None
    flip_rate_ci: Interval | None
    images_answered: int
    images_flipped: int
    images_flipped_ci: Interval | None
    explained_by_label: float
    explained_by_processing: float
    explained_difference_ci: Interval
    largest_rate_gap: RateGap
    results: tuple[PipelineFigures, ...]
    inputs: int = 1

    def identity(self) -> Identity:
        return (self.split, self.provenance.fingerprint, self.inputs, *(r.pipeline for r in self.results))

    def title(self) -> str:
        return f"re-made images on {self.split}"

    def to_frame(self) -> pd.DataFrame:
        """One row per pipeline."""
        return frame_of([row.to_dict() for row in self.results])
