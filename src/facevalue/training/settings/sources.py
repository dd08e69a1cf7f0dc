"""Known sources."""

from __future__ import annotations

from typing import Literal

from facevalue.training.settings.base import Settings, expect

ENOUGH = 2
"""Fewest sources of each class with which ``auto`` asks whether an image is of a known source."""


class SourceSettings(Settings, frozen=True):
    """Whether the model abstains on images of unknown sources; see :mod:`facevalue.training.known_sources`.

    Attributes
    ----------
    known : ``on``, ``off``, or ``auto``: where the model looks for faces and each class has at least two sources.
    share : share of new images of known sources that should be within the limit, in (0, 1).
    """

    known: Literal["auto", "on", "off"] = "auto"
    share: float = 0.92

    def __post_init__(self) -> None:
        expect(0 < self.share < 1, "share", "in (0, 1)", self.share)
