"""Compares two models on the same images: images lost and won by the second."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facevalue import decision
from facevalue.data.dataset import ImageDataset
from facevalue.evaluation import metrics
from facevalue.evidence.card import ModelCard
from facevalue.evidence.findings import Finding, finding
from facevalue.evidence.records import Change
from facevalue.models.classifier import Classifier
from facevalue.models.features import Features


def as_loss(change: Change) -> dict[str, Any]:
    """A change of accuracy with its sign reversed (a loss is positive), for JSON."""
    low, high = change.change_ci
    return {
        "accuracy": -change.change,
        "ci": [-high, -low],
        "n": change.n,
        "lost": change.lost,
        "won": change.won,
    }


def compare_pairs(images_of: str, before: Classifier, first: Features, after: Classifier, second: Features) -> Change:
    """Accuracy of two models on the same images, with an interval for paired differences."""

    def right(classifier: Classifier, features: Features) -> NDArray[np.bool_]:
        card = classifier.card
        decided = decision.decide(features.probabilities(classifier), card.positive_index, card.threshold)
        return np.asarray(decided == features.y)

    was, is_now = right(before, first), right(after, second)
    lost, won = int((was & ~is_now).sum()), int((~was & is_now).sum())
    both_right, n = int((was & is_now).sum()), len(was)
    return Change(
        images=images_of,
        n=n,
        before=float(was.mean()),
        before_ci=metrics.wilson(int(was.sum()), n),
        after=float(is_now.mean()),
        after_ci=metrics.wilson(int(is_now.sum()), n),
        change=(won - lost) / n,
        change_ci=metrics.difference_of_paired_rates(both_right, won, lost, n - both_right - won - lost),
        lost=lost,
        won=won,
    )


def warnings_of(
    changes: tuple[Change, ...], card: ModelCard, of_hard: Mapping[str, ImageDataset]
) -> tuple[Finding, ...]:
    """Warnings about ``changes`` on the old and on the hard test images, in this order."""
    old, hard = changes
    found = []
    if old.change_ci[1] < 0:
        text = (
            f"accuracy on the old test images fell by {-100 * old.change:.1f} points "
            f"({-100 * old.change_ci[1]:.1f} to {-100 * old.change_ci[0]:.1f}, n = {old.n})"
        )
        low, high = old.change_ci
        found.append(finding("forgotten", text, change=old.change, low=low, high=high, n=old.n))
    if hard.change_ci[0] <= 0:
        text = f"accuracy on the {hard.n} hard test images did not rise significantly"
        found.append(finding("no-gain-on-hard-images", text, change=hard.change, n=hard.n))
    absent = [c for i, c in enumerate(card.classes) if not (of_hard["test"].labels == i).any()]
    if absent:
        text = (
            f"there are no hard test images of {', '.join(absent)}: the model may now make more errors on images of "
            f"{', '.join(absent)} that look like the hard ones, and these figures do not show that"
        )
        found.append(finding("hard-set-lacks-class", text, classes=tuple(absent)))
    return tuple(found)
