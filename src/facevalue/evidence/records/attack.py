"""What attacks leave of a model's accuracy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from facevalue.evidence.record import Record
from facevalue.support.frames import frame_of

if TYPE_CHECKING:
    import pandas as pd
from facevalue.evidence.records.base import Evidence, Identity, Interval

DISTILLATION = "distillation"
"""The one defence that is part of the weights, not applied before the model; see :class:`AttackFigures`."""


class AttackFigures(Record, frozen=True):
    """One attack at one eps. ``eps`` is in [0, 1] units of the network input; success counts after 8-bit rounding.

    ``robust_accuracy_unrounded`` is measured before rounding, to compare with papers and libraries that do not round.
    ``defense`` names the defence in front of the model, or how the model was hardened; ``adaptive`` says whether the
    attack took it into account. ``target_rate`` is the share of correctly classified images of other classes that the
    attack changed to the class ``target``. ``found_by`` counts the images that each attack of a suite changed.
    """

    attack: str
    norm: str
    eps: float
    n: int
    clean_accuracy: float
    robust_accuracy: float
    robust_ci: Interval
    robust_accuracy_unrounded: float
    confusion: tuple[tuple[int, ...], ...]
    mean_distance: float
    queries: int
    seconds: float
    adaptive: bool = False
    defense: str | None = None
    target: str | None = None
    target_rate: float | None = None
    found_by: dict[str, int] = {}

    def settings(self) -> tuple[str, str, float, str | None, bool, str | None]:
        """The settings of the attack, without its results."""
        return (self.attack, self.norm, self.eps, self.defense, self.adaptive, self.target)

    @property
    def speaks_of_model(self) -> bool:
        """Whether this is the robust accuracy of the model itself: untargeted, without an input defence, not blind."""
        seen = self.defense is None or (self.defense == DISTILLATION and self.adaptive)
        return seen and self.target is None


class NoiseFigures(Record, frozen=True):
    """The control for an attack: accuracy under random noise of the largest size that the threat allows.

    Only images that are correct both without and with the noise count.
    """

    norm: str
    eps: float
    n: int
    accuracy: float
    accuracy_ci: Interval


class AttackReport(Evidence, frozen=True, tag="attack"):
    """Results of attacks on a model, with random noise as a control."""

    classes: tuple[str, ...]
    clean_confusion: tuple[tuple[int, ...], ...]
    results: tuple[AttackFigures, ...]
    noise: tuple[NoiseFigures, ...] = ()

    def identity(self) -> Identity:
        return (self.provenance.fingerprint, *(r.settings() for r in self.results))

    def title(self) -> str:
        return "attack with " + ", ".join(dict.fromkeys(r.attack for r in self.results))

    def to_frame(self) -> pd.DataFrame:
        """One row per attack and eps."""
        return frame_of([row.to_dict() for row in self.results])
