"""Calibration, abstention and novelty."""

from __future__ import annotations

from typing import Literal

from facevalue.evaluation.answer_limits import CalibrationChoices
from facevalue.images.versions import MOST
from facevalue.models.novelty import SCORES
from facevalue.robustness.corruptions.damage import EVERYDAY, Damage
from facevalue.training.settings.base import Settings, expect


class CalibrationSettings(Settings, frozen=True):
    """Calibration and the limits of abstention; see :mod:`facevalue.evaluation.answer_limits`.

    Attributes
    ----------
    method : ``auto`` (temperature unless another method beats it in cross-validation), ``temperature``, ``vector``,
        ``beta``, ``isotonic`` or ``venn-abers``.
    damage : everyday damage to calibrate for, besides the images as they are: corruptions with a strength, such as
        ``jpeg-60``. Empty switches it off.
    damaged : most images for each kind of damage; a stated error and a bound on false positives use all images.
    max_error : largest error among answered images, in (0, 1), promised with 95 % confidence; replaces ``target``.
    max_false_positive : largest share of the negatives of each source that are called positive, in (0, 1), promised
        with 95 % confidence. For two classes.
    target : wanted accuracy on the answered images, in (0, 1); sets the confidence limit.
    floor : lowest confidence limit, in (0, 1).
    quantile : share of calibration-like images that must not count as novel, in (0, 1).
    stable : answers are made from so many versions of the network input, 2 to 7, and the model abstains where they
        disagree; 0 for one. See :class:`facevalue.evidence.card.Stability`.
    """

    method: Literal["auto", "temperature", "vector", "beta", "isotonic", "venn-abers"] = "auto"
    damage: tuple[str, ...] = EVERYDAY
    damaged: int = 200
    max_error: float | None = None
    max_false_positive: float | None = None
    target: float = 0.95
    floor: float = 0.6
    quantile: float = 0.95
    stable: int = 0

    def __post_init__(self) -> None:
        for name in ("target", "floor", "quantile"):
            expect(0 < getattr(self, name) < 1, name, "in (0, 1)", getattr(self, name))
        for name in ("max_error", "max_false_positive"):
            given = getattr(self, name)
            expect(given is None or 0 < given < 1, name, "in (0, 1)", given)
        expect(self.damaged >= 1, "damaged", "at least 1", self.damaged)
        for one in self.damage:
            Damage.of(one)
        expect(self.stable == 0 or 2 <= self.stable <= MOST, "stable", f"0 or from 2 to {MOST}", self.stable)

    @property
    def promises(self) -> bool:
        """Whether a promise is asked for."""
        return self.max_error is not None or self.max_false_positive is not None

    def choices(self) -> CalibrationChoices:
        """The same without what was done to the images."""
        return CalibrationChoices(
            method=self.method,
            target=self.target,
            floor=self.floor,
            quantile=self.quantile,
            max_error=self.max_error,
            max_false_positive=self.max_false_positive,
        )


class NoveltySettings(Settings, frozen=True):
    """Novelty scores; see :mod:`facevalue.models.novelty`.

    Attributes
    ----------
    scores : scores to compare; the one that answers fewest strangers is kept, and the first of equally good ones. Each
        set of strangers is left out of the fit in turn.
    """

    scores: tuple[str, ...] = ("contrast", "exposure", "neighbours", "mahalanobis")

    def __post_init__(self) -> None:
        known = bool(self.scores) and set(self.scores) <= set(SCORES)
        expect(known, "scores", f"some of {', '.join(SCORES)}", ", ".join(self.scores) or "none")
