"""The limits on the probability below which a model abstains, chosen on the calibration split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facevalue import decision
from facevalue.errors import UsageError
from facevalue.evaluation.calibration_choice import applicable
from facevalue.evaluation.calibration_set import Rows
from facevalue.evaluation.false_positives import Scores, bound_false_positives, sources_to_bound
from facevalue.evaluation.stated_error import Answers, state_error
from facevalue.evidence.card import Abstention, ModelCard
from facevalue.models import calibration

Floats = NDArray[np.floating]

FITTING = 1 / 3
"""Share of the groups that fit the calibration, where the others must choose the limit of a stated error."""


@dataclass(frozen=True)
class CalibrationChoices:
    """What calibration is asked for.

    Attributes
    ----------
    method : of :data:`facevalue.models.calibration.METHODS`; ``auto`` takes temperature unless another beats it, see
        :func:`facevalue.evaluation.calibration_choice.chosen`.
    target, floor : see :func:`choose_confidence`.
    quantile : see :func:`facevalue.evaluation.calibration.novelty_limit`.
    max_error : see :func:`facevalue.evaluation.stated_error.state_error`; replaces ``target``.
    max_false_positive : see :func:`facevalue.evaluation.false_positives.bound_false_positives`; for two classes.
    """

    method: str = "auto"
    target: float = 0.95
    floor: float = 0.6
    quantile: float = 0.95
    max_error: float | None = None
    max_false_positive: float | None = None

    def methods(self, classes: int) -> tuple[str, ...]:
        """The calibration methods to compare.

        Raises
        ------
        UsageError
            The method does not exist, or something is asked for that is defined for two classes only.
        """
        if self.max_false_positive is not None and classes != 2:
            raise UsageError(f"`max_false_positive` is for two classes, and the model has {classes}")
        if self.method != "auto":
            if calibration.find(self.method).two_classes and classes != 2:
                raise UsageError(
                    f"`method` {self.method} is for two classes, and the model has {classes}; "
                    f"for more there are {', '.join(applicable(classes))}"
                )
            return (self.method,)
        # A temperature keeps the order of images of two classes, so all of them can choose the limit as well.
        return ("temperature",) if self.max_error is not None and classes == 2 else applicable(classes)


@dataclass(frozen=True, eq=False)
class Answerable:
    """Calibration images that the limits are chosen on.

    Attributes
    ----------
    rows : of all conditions.
    p : (m, k) calibrated probabilities.
    far : (m,) whether the model abstains because of novelty.
    sources : of the images, by their number; empty where they are not known.
    """

    rows: Rows
    p: NDArray[np.float64]
    far: NDArray[np.bool_]
    sources: Sequence[str] = ()


def parts_of(
    rows: Rows, choices: CalibrationChoices, methods: Sequence[str]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(m,) masks of the rows that fit the calibration, and of those that choose the limits.

    All rows do both, but for a stated error with a method that changes the order of the images' confidence: its limit
    would be chosen on images whose labels have moved them. Then a third of the groups fits the calibration.
    """
    every = np.ones(len(rows), bool)
    if choices.max_error is None or (tuple(methods) == ("temperature",) and rows.logits.shape[1] == 2):
        return every, every
    groups = np.unique(rows.groups)
    drawn = np.random.default_rng(0).permutation(groups)[: max(1, round(FITTING * len(groups)))]
    fitting = np.isin(rows.groups, drawn)
    if len(np.unique(rows.labels[fitting])) < len(np.unique(rows.labels)):
        return every, ~every  # too few groups for two parts: nothing is left to show a stated error on
    return fitting, ~fitting


def answer_limits(card: ModelCard, part: Answerable, choices: CalibrationChoices) -> Abstention:
    """The limits on the probability; the limit on novelty is not set here.

    Parameters
    ----------
    card : for the positive class and its threshold.
    """
    rows, p = part.rows, part.p
    decided = decision.decide(p, card.positive_index, card.threshold)
    if choices.max_error is None:
        stated = None
        confidence = choose_confidence(p, rows.labels, choices.target, choices.floor, decided=decided)
    else:
        confident = np.where(part.far, -np.inf, p[np.arange(len(p)), decided])
        wrong, margin = decided != rows.labels, margins(rows.logits, rows.labels)
        stated = state_error(
            {
                name: Answers(confident[here], wrong[here], margin[here], rows.groups[here])
                for name, here in _conditions(rows)
            },
            choices.max_error,
        )
        confidence = max(choices.floor, stated.limit)
    bounded = None
    if choices.max_false_positive is not None:
        bounded = bound_false_positives(*_scores(card, part, choices.max_false_positive), choices.max_false_positive)
    return Abstention(
        confidence=confidence,
        target=choices.target if stated is None else None,
        upper=None if bounded is None else bounded.upper,
        lower=None if bounded is None else bounded.lower,
        stated_error=stated,
        false_positives=bounded,
    )


def margins(logits: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """(n,) by how much the true class's logit is above the largest other one, from logits (n, k)."""
    here = np.arange(len(labels))
    others = logits.copy()
    others[here, labels] = -np.inf
    above: NDArray[np.float64] = logits[here, labels] - others.max(axis=1)
    return above


def _conditions(rows: Rows) -> list[tuple[str, NDArray[np.bool_]]]:
    return [(name, rows.conditions == i) for i, name in enumerate(rows.names)]


def _scores(card: ModelCard, part: Answerable, rate: float) -> tuple[dict[str, dict[str, Scores]], dict[str, Scores]]:
    """Probabilities of the positive class: of negatives by source and condition, of positives by condition."""
    rows, positive = part.rows, card.positive_index
    assert positive is not None
    negative = rows.labels != positive
    # By image, so that an image's damaged copies are in its own source.
    images, first = np.unique(rows.images[negative], return_index=True)
    given = [part.sources[i] for i in images] if len(part.sources) else []
    score = part.p[:, positive]
    negatives: dict[str, dict[str, Scores]] = {}
    for source, mask in sources_to_bound(given, rows.groups[negative][first], rate).items():
        inside = negative & np.isin(rows.images, images[mask])
        negatives[source] = {
            name: (score[here & inside], rows.groups[here & inside]) for name, here in _conditions(rows)
        }
    positives = {name: (score[here & ~negative], rows.groups[here & ~negative]) for name, here in _conditions(rows)}
    return negatives, positives


def choose_confidence(
    p: Floats,
    labels: NDArray[np.int64],
    target: float = 0.95,
    floor: float = 0.6,
    coverage: float = 0.5,
    decided: NDArray[np.int64] | None = None,
) -> float:
    """The lowest confidence limit that reaches the ``target`` accuracy (Geifman & El-Yaniv 2017).

    Parameters
    ----------
    p : (n, k) calibrated probabilities of the calibration split.
    labels : (n,) int.
    target : wanted accuracy on the answered images of the calibration split.
    floor : lowest allowed limit.
    coverage : smallest share of images to answer. If ``target`` needs more abstentions, it is not reached, as the
        evaluation then shows.
    decided : (n,) predicted classes; the most probable ones by default. A threshold makes others.

    Returns
    -------
    A probability in [0, 1].
    """
    decided = p.argmax(axis=1) if decided is None else decided
    confidence = p[np.arange(len(p)), decided]
    order = np.argsort(-confidence, kind="stable")
    right = np.cumsum(decided[order] == labels[order]) / np.arange(1, len(order) + 1)
    sorted_confidence = confidence[order]
    # A limit can only lie between two different confidences.
    ends = np.append(sorted_confidence[1:] < sorted_confidence[:-1], True)
    enough = np.arange(1, len(order) + 1) >= coverage * len(order)
    good = np.flatnonzero(ends & (right >= target) & enough)
    if len(good) and good[-1] == len(order) - 1:
        return floor  # the target is reached with all images answered
    # Halfway to the first image below the limit, so that rounding in another engine does not change a prediction.
    last = good[-1] if len(good) else np.flatnonzero(ends & enough)[0]
    following = sorted_confidence[last + 1] if last + 1 < len(order) else sorted_confidence[last]
    return max(floor, float(sorted_confidence[last] + following) / 2)
