"""The figures that a policy may require, and how each is read from the evidence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from facevalue.evidence.card import Abstention
from facevalue.evidence.records import (
    AttackFigures,
    ConditionFigures,
    CorruptionReport,
    Evaluation,
    ExplanationFigures,
    ExportReport,
    LeftOutFigures,
    ParityFigures,
    RemadeReport,
    SourceReport,
    StrangerReport,
)

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
    "ece_equal_mass": Figure(lambda r: r.ece_equal_mass, "at most", "calibration error in bins of equally many images"),
    "ece_equal_mass_upper": Figure(lambda r: _end(r.ece_equal_mass_ci, 1), "at most", "upper end of its interval"),
    "ece_classwise": Figure(lambda r: r.ece_classwise, "at most", "calibration error of each class, the mean"),
    "ece_classwise_upper": Figure(lambda r: _end(r.ece_classwise_ci, 1), "at most", "upper end of its interval"),
    "brier": Figure(lambda r: r.brier, "at most", "Brier score"),
    "brier_upper": Figure(lambda r: _end(r.brier_ci, 1), "at most", "upper end of its interval"),
    "nll": Figure(lambda r: r.nll, "at most", "negative log-likelihood, nats"),
    "nll_upper": Figure(lambda r: _end(r.nll_ci, 1), "at most", "upper end of its interval"),
    "aurc": Figure(lambda r: r.aurc, "at most", "area under the risk-coverage curve"),
    "e_aurc": Figure(lambda r: r.e_aurc, "at most", "the part of it that a better order would remove"),
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

RUNTIME_FIGURES: dict[str, tuple[Callable[[ParityFigures], float], Direction]] = {
    "n": (lambda f: f.n, "at least"),
    "label_agreement": (lambda f: f.label_agreement, "at least"),
    "accuracy": (lambda f: f.runtime_accuracy, "at least"),
    "accuracy_lost": (lambda f: f.accuracy - f.runtime_accuracy, "at most"),
    "answers_changed": (lambda f: f.answers_changed, "at most"),
    "pixel_differences": (lambda f: f.pixel_differences, "at most"),
    "max_probability_difference": (lambda f: f.max_probability_difference, "at most"),
}
"""Keys of ``[require.runtimes.PRECISION]`` besides ``targets``: those of the worst runtime."""

CORRUPTION_FIGURES: dict[str, Callable[[CorruptionReport], float | None]] = {
    "n": lambda r: r.n,
    "mean_accuracy": lambda r: r.mean_accuracy,
    "accuracy": lambda r: min((f.accuracy for f in r.results), default=None),
    "accuracy_lower": lambda r: min((f.accuracy_ci[0] for f in r.results), default=None),
}
"""Keys of ``[require.corruption]``, all lower limits. ``accuracy`` is that of the worst corruption and strength."""

STRANGER_FIGURES: dict[str, tuple[Callable[[StrangerReport], float | None], Direction]] = {
    "n": (lambda r: min((s.n for s in r.sets), default=None), "at least"),
    "answered": (lambda r: max((s.answered for s in r.sets), default=None), "at most"),
    "answered_upper": (lambda r: max((s.answered_ci[1] for s in r.sets), default=None), "at most"),
    "auroc": (lambda r: min((s.auroc for s in r.sets), default=None), "at least"),
    "answered_own": (lambda r: r.answered_own, "at least"),
}
"""Keys of ``[require.strangers]``: those of the worst set."""

CALIBRATION_FIGURES: dict[str, tuple[Callable[[ConditionFigures], float | None], Direction]] = {
    "n": (lambda f: f.n, "at least"),
    "accuracy": (lambda f: f.accuracy, "at least"),
    "coverage": (lambda f: f.coverage, "at least"),
    "error_answered": (lambda f: f.error_answered, "at most"),
    "ece": (lambda f: f.after.ece, "at most"),
    "ece_upper": (lambda f: f.after.ece_ci[1], "at most"),
    "nll": (lambda f: f.after.nll, "at most"),
}
"""Keys of ``[require.calibration]`` besides ``split`` and ``condition``."""

PROMISES: dict[str, Callable[[Abstention], float | None]] = {
    "error": lambda a: a.stated_error.error if a.stated_error is not None and a.stated_error.kept else None,
    "false_positive": lambda a: (
        a.false_positives.rate if a.false_positives is not None and a.false_positives.kept else None
    ),
}
"""Keys of ``[require.promise]``, all upper limits: promises that are kept."""

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

EXPLANATION_FIGURES: dict[str, tuple[Callable[[ExplanationFigures], float | None], Direction]] = {
    "n": (lambda f: f.n, "at least"),
    "gain": (lambda f: f.gain, "at least"),
    "gain_lower": (lambda f: _end(f.gain_ci, 0), "at least"),
    "rank_correlation_upper": (lambda f: _end(f.rank_correlation_ci, 1), "at most"),
}
"""Keys of ``[require.explanations]`` besides ``method``."""
SOURCE_FIGURES: dict[str, tuple[Callable[[SourceReport], float | None], Direction]] = {
    "n": (lambda r: r.n, "at least"),
    "sources": (lambda r: min((w.sources for w in r.within), default=None), "at least"),
    "pairs_auroc": (lambda r: r.pairs_auroc, "at least"),
    "worst_pair_auroc": (lambda r: min((p.auroc for p in r.pairs), default=None), "at least"),
    "unseen_auroc": (lambda r: min((s.unseen for s in r.sources if s.unseen is not None), default=None), "at least"),
    "swaps_auroc": (lambda r: r.swaps_auroc, "at least"),
    "permuted_accuracy": (lambda r: None if r.permuted is None else r.permuted.mean, "at most"),
    "explained": (lambda r: None if r.permuted is None else r.permuted.explained, "at most"),
    "baseline_auroc": (lambda r: max((b.auroc for b in r.baselines), default=None), "at most"),
    "warnings": (lambda r: sum(w.severity != "info" for w in r.warnings), "at most"),
}
"""Keys of ``[require.sources]``. ``sources`` is of the class with the fewest, ``unseen_auroc`` of the worst source."""

LEFT_OUT_FIGURES: dict[str, tuple[Callable[[LeftOutFigures], float | None], Direction]] = {
    "n": (lambda f: f.n, "at least"),
    "auroc": (lambda f: f.auroc, "at least"),
    "balanced_accuracy": (lambda f: f.balanced_accuracy, "at least"),
    "tpr_at_half_percent": (lambda f: f.tpr_at_half_percent, "at least"),
    "tpr_at_one_percent": (lambda f: f.tpr_at_one_percent, "at least"),
    "accused": (lambda f: f.accused_rate, "at most"),
    "accused_upper": (lambda f: _end(f.accused_ci, 1), "at most"),
}
"""Keys of ``[require.left_out]`` besides ``by`` and ``condition``: those of the worst source."""

CERTIFICATE_FIGURES = ("n", "mean_radius", "accuracy", "accuracy_lower")
"""Keys of ``[require.certificate]`` besides ``radius``; all are lower limits."""
