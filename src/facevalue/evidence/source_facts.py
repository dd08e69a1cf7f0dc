"""The sources that a model learned from, and how well it knows them from others."""

from __future__ import annotations

from facevalue.evidence.record import Record


class SourceRate(Record, frozen=True):
    """A share of the images of one source.

    Attributes
    ----------
    label, source : class and name of the source.
    n : images that the share is of.
    rate : the share.
    """

    label: str
    source: str
    n: int
    rate: float

    @property
    def name(self) -> str:
        """Class and source: ``real/camera-x``."""
        return f"{self.label}/{self.source}"


class SourceFacts(Record, frozen=True):
    """The sources that a model learned from, and how well it knows them from others.

    Attributes
    ----------
    names : class and source of each, ``real/camera-x``, in the order of the score's means.
    counts : images that each was learned from.
    share : share of new images of each known source that should be answered; the limit was chosen for it.
    known : by source, the share of held-out images within the limit.
    left_out : by source, the share of its images beyond the limit where the distance was fitted without that source.
        The limit is that of the whole model.
    adapted : sources that ``adapt`` added.
    """

    names: tuple[str, ...]
    counts: tuple[int, ...]
    share: float
    known: tuple[SourceRate, ...] = ()
    left_out: tuple[SourceRate, ...] = ()
    adapted: tuple[str, ...] = ()
