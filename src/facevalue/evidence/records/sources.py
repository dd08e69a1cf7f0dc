"""Controls of sources: whether an accuracy may come from telling sources apart instead of classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from facevalue.evidence.record import Record
from facevalue.evidence.records.base import Evidence, Identity, Interval
from facevalue.support.frames import frame_of

if TYPE_CHECKING:
    import pandas as pd


class SourceFigures(Record, frozen=True):
    """One source: how well it is told apart, and how well it is classified when nothing was learned from it.

    Attributes
    ----------
    source, label, n : its name, its class and the number of its images.
    told : cross-validated AUROC of this source against the other sources of its class; ``None`` if it is the only one.
    unseen : AUROC for the class of its images against images of the other classes, by a head that learned from no image
        of this source; ``None`` where its class has no other source.
    """

    source: str
    label: str
    n: int
    told: float | None
    told_ci: Interval | None
    unseen: float | None
    unseen_ci: Interval | None


class WithinClass(Record, frozen=True):
    """How well the sources of one class are told apart: the mean AUROC of each against the others of this class."""

    label: str
    sources: int
    auroc: float | None
    auroc_ci: Interval | None


class Permuted(Record, frozen=True):
    """Balanced accuracy after the class labels of whole sources were permuted at random.

    Attributes
    ----------
    draws : random permutations; none of them is the true one.
    mean, interval : of the balanced accuracy over the draws; the middle 95 %.
    by_class : mean over the same draws that a head would reach which knows the classes and nothing of the sources.
    as_high : share of the draws with at least the true accuracy.
    explained : how much of the way from ``by_class`` to the true accuracy the permuted labels reach: 1 if they are
        learned as well as the true ones; ``None`` if there is no way to go.
    """

    draws: int
    mean: float
    interval: Interval
    by_class: float
    as_high: float
    explained: float | None


class PairFigures(Record, frozen=True):
    """AUROC between one source of each of two classes. ``sources`` and ``labels`` are in the same order."""

    sources: tuple[str, str]
    labels: tuple[str, str]
    n: int
    auroc: float
    auroc_ci: Interval


class SwapFigures(Record, frozen=True):
    """Trained on one source of each of two classes, tested on another source of each, with equally many images of each.

    ``trained`` and ``tested`` name the sources; ``n`` is the number of images tested.
    """

    trained: tuple[str, str]
    tested: tuple[str, str]
    n: int
    auroc: float
    auroc_ci: Interval


class BaselineFigures(Record, frozen=True):
    """How well one simple measure of an image tells the classes apart, in the better of its two directions.

    ``n`` is the number of images on which the measure is known.
    """

    name: str
    n: int
    auroc: float
    auroc_ci: Interval


class SourceReport(Evidence, frozen=True, tag="sources"):
    """Controls of sources, on cross-validated ridge heads; see ``docs/explanation/sources.md``.

    Attributes
    ----------
    features : what the heads were fitted to.
    accuracy : balanced accuracy on held-out images of the same sources; every source counts equally.
    auroc : on the same images; the mean over the classes if there are more than two.
    sources, within : by source, and by class.
    permuted : ``None`` where no permutation differs from the true labels.
    pairs : one source of each of two classes left out together, and tested on; ``pairs_auroc`` is their mean.
    swaps : see :class:`SwapFigures`; ``swaps_auroc`` is their mean.
    pairs_tried, swaps_tried : number measured; the record lists the lowest ones.
    pairs_at_chance : pairs whose interval begins at 0.5 or below.
    swaps_reversed : swaps whose interval ends below 0.5.
    baselines : simple measures, the strongest first.
    strength : inverse penalty of all heads.
    whole_groups : whether no group was on both sides of a fold.
    small : sources with too few images, which were left out, with their number of images.
    untold : what cannot be told, and why.
    """

    features: str
    classes: tuple[str, ...]
    accuracy: float
    accuracy_ci: Interval
    auroc: float
    auroc_ci: Interval
    sources: tuple[SourceFigures, ...]
    within: tuple[WithinClass, ...]
    permuted: Permuted | None
    pairs: tuple[PairFigures, ...]
    pairs_auroc: float | None
    pairs_tried: int
    pairs_at_chance: int
    swaps: tuple[SwapFigures, ...]
    swaps_auroc: float | None
    swaps_tried: int
    swaps_reversed: int
    baselines: tuple[BaselineFigures, ...]
    strength: float
    whole_groups: bool = True
    small: dict[str, int] = {}
    untold: tuple[str, ...] = ()

    def identity(self) -> Identity:
        return (self.split, self.provenance.fingerprint, self.features)

    def title(self) -> str:
        return f"source controls on {self.split}" if self.split else "source controls"

    def to_frame(self) -> pd.DataFrame:
        """One row per source."""
        return frame_of([row.to_dict() for row in self.sources])
