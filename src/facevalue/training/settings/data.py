"""How images are split, and whether faces are cut out."""

from __future__ import annotations

import math
from typing import Literal

from facevalue.faces.gate import FaceGate
from facevalue.faces.model_file import published_gate
from facevalue.training.settings.base import Settings, expect


class SplitSettings(Settings, frozen=True):
    """Shares of the images in each split; the rest is train.

    Attributes
    ----------
    validation : share for early stopping and the choice of the epoch, above 0.
    calibration : share for temperature, threshold and abstention, above 0.
    test : share for the final evaluation, above 0.
    near : hashes of near-duplicates differ in at most this many of 256 bits; -1 joins none.
    groups : images that must stay in one split: ``parent``, ``stem:REGEX``, ``image`` or a manifest's column. If it
        matches no image, the default groups are used.
    """

    validation: float = 0.1
    calibration: float = 0.1
    test: float = 0.2
    near: int = 32
    groups: str | None = None

    def __post_init__(self) -> None:
        shares = (self.validation, self.calibration, self.test)
        expect(
            min(shares) > 0 and sum(shares) < 0.95,
            "validation, calibration and test",
            "above 0 and below 0.95 together",
            shares,
        )


class GateSettings(Settings, frozen=True):
    """Whether the network gets whole images or faces; see :class:`facevalue.evidence.gate_facts.GateFacts`.

    Attributes
    ----------
    kind : ``face`` looks for the largest face of each image, and leaves out images without one; ``none``: whole images.
    model : the face detector's file; empty for the one that ``facevalue data get yunet`` downloads.
    margin : share of the face's longer side that is added on each side.
    doubt, sure, smallest, roll, turn, rival : limits, see there.
    """

    kind: Literal["none", "face"] = "none"
    model: str = ""
    margin: float = 0.3
    doubt: float = 0.5
    sure: float = 0.8
    smallest: int = 32
    roll: float = 30.0
    turn: float = 1.5
    rival: float = 0.9

    def __post_init__(self) -> None:
        expect(0 <= self.margin <= 10, "margin", "from 0 to 10", self.margin)
        expect(
            0 < self.doubt <= self.sure <= 1, "doubt and sure", "in (0, 1], doubt the lower", (self.doubt, self.sure)
        )
        expect(self.smallest >= 1, "smallest", "at least 1", self.smallest)
        expect(0 < self.roll <= 180, "roll", "in (0, 180]", self.roll)
        expect(0 < self.turn < math.inf, "turn", "above 0", self.turn)
        expect(0 < self.rival <= 1, "rival", "in (0, 1]", self.rival)

    def opened(self) -> FaceGate | None:
        """The gate; ``None`` for whole images.

        Raises
        ------
        UsageError
            The face detector is not there.
        """
        if self.kind == "none":
            return None
        limits = {name: getattr(self, name) for name in ("doubt", "sure", "smallest", "roll", "turn", "rival")}
        return published_gate(self.model or None, **limits)
