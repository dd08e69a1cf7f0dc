"""The figures that a policy may require, and how each is read from the evidence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from facevalue.evidence.records import AttackFigures, CorruptionReport, Evaluation, ExportReport, RemadeReport

Direction = Literal["at least", "at most"]


@dataclass(frozen=True)
class Figure:
    """A figure of an evaluation that a policy may require.

    Attributes
    ----------
    of : reads it from an evaluation; ``None`` if the evaluation does not have it.
    direction : whether the requirement is a lower or an upper limit.
    meaning : for the documentation and for messages.
    """

    of: Callable[[Evaluation], float | None]
    direction: Direction
    meaning: str


def _end(ends: tuple[float, float] | None, which: int) -> float | None:
    return None if ends is None else ends[which]


FIGURES: dict[str, Figure] = {
    "n": Figure(lambda r: r.n, "at least", "images evaluated"),
    "accuracy": Figure(lambda r: r.accuracy, "at least", "accuracy"),
    "accuracy_lower": Figure(lambda r: r.accuracy_ci[0], "at least", "lower end of accuracy's interval"),
    "balanced_accuracy": Figure(lambda r: r.balanced_accuracy, "at least", "mean recall of the classes"),
    "balanced_accuracy_lower": Figure(lambda r: r.balanced_accuracy_ci[0], "at least", "lower end of its interval"),
    "recall": Figure(lambda r: min(r.recall.values(), default=None), "at least", "recall of the worst class"),
    "recall_lower": Figure(
        lambda r: min((ends[0] for ends in r.recall_ci.values()), default=None),
        "at least",
        "lowest lower end of a class's recall interval",
    ),
    "auroc": Figure(lambda r: r.auroc, "at least", "area under the ROC curve"),
    "auroc_lower": Figure(lambda r: _end(r.auroc_ci, 0), "at least", "lower end of its interval"),
    "average_precision": Figure(lambda r: r.average_precision, "at least", "average precision"),
    "coverage": Figure(lambda r: r.coverage, "at least", "share of images answered"),
    "accuracy_answered": Figure(lambda r: r.accuracy_answered, "at least", "accuracy among the answered"),
    "accuracy_answered_lower": Figure(
        lambda r: _end(r.accuracy_answered_ci, 0), "at least", "lower end of its interval"
    ),
    "ece": Figure(lambda r: r.ece, "at most", "expected calibration error"),
    "ece_upper": Figure(lambda r: r.ece_ci[1], "at most", "upper end of its interval"),
    "brier": Figure(lambda r: r.brier, "at most", "Brier score"),
    "nll": Figure(lambda r: r.nll, "at most", "negative log-likelihood, nats"),
    "unreadable": Figure(lambda r: len(r.unreadable), "at most", "files that could not be read"),
    "warnings": Figure(lambda r: len(r.warnings), "at most", "warnings on the evaluation"),
}

ATTACK_FIGURES: dict[str, Callable[[AttackFigures], float]] = {
    "n": lambda f: f.n,
    "robust": lambda f: f.robust_accuracy,
    "robust_lower": lambda f: f.robust_ci[0],
}
"""Keys of ``[require.attack.NAME]`` besides ``norm`` and ``eps``; all are lower limits."""

EXPORT_FIGURES: dict[str, tuple[Callable[[ExportReport], float], Direction]] = {
    "n": (lambda e: e.n, "at least"),
    "label_agreement": (lambda e: e.label_agreement, "at least"),
    "max_probability_difference": (lambda e: e.max_probability_difference, "at most"),
}
"""Keys of ``[require.export.TARGET]``."""

CORRUPTION_FIGURES: dict[str, Callable[[CorruptionReport], float | None]] = {
    "n": lambda r: r.n,
    "mean_accuracy": lambda r: r.mean_accuracy,
    "accuracy": lambda r: min((f.accuracy for f in r.results), default=None),
    "accuracy_lower": lambda r: min((f.accuracy_ci[0] for f in r.results), default=None),
}
"""Keys of ``[require.corruption]``, all lower limits. ``accuracy`` is that of the worst corruption and strength."""

REMADE_FIGURES: dict[str, tuple[Callable[[RemadeReport], float | None], Direction]] = {
    "n": (lambda r: r.n, "at least"),
    "flip_rate": (lambda r: r.flip_rate, "at most"),
    "flip_rate_upper": (lambda r: _end(r.flip_rate_ci, 1), "at most"),
    "worst_flip_rate": (
        lambda r: max((f.flip_rate for f in r.results if f.flip_rate is not None), default=None),
        "at most",
    ),
    "images_flipped_upper": (lambda r: _end(r.images_flipped_ci, 1), "at most"),
    "accuracy": (lambda r: min((f.accuracy for f in r.results), default=None), "at least"),
    "accuracy_lower": (lambda r: min((f.accuracy_ci[0] for f in r.results), default=None), "at least"),
    "coverage": (lambda r: min((f.coverage for f in r.results), default=None), "at least"),
}
"""Keys of ``[require.remade]``. ``worst_flip_rate``, ``accuracy`` and ``coverage`` are of the worst pipeline."""

CERTIFICATE_FIGURES = ("n", "mean_radius", "accuracy", "accuracy_lower")
"""Keys of ``[require.certificate]`` besides ``radius``; all are lower limits."""
