"""What a second model lost and won of what a first one had right, on the same images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facevalue import decision
from facevalue.data.dataset import ImageDataset
from facevalue.evaluation import metrics
from facevalue.evidence.card import ModelCard
from facevalue.evidence.records import Change
from facevalue.models.classifier import Classifier
from facevalue.models.features import Features


def as_loss(change: Change) -> dict[str, Any]:
    """A change as a loss of accuracy, for JSON."""
    low, high = change.change_ci
    return {
        "accuracy": -change.change,
        "ci": [-high, -low],
        "n": change.n,
        "lost": change.lost,
        "won": change.won,
    }


def compare_pairs(images_of: str, before: Classifier, first: Features, after: Classifier, second: Features) -> Change:
    """Accuracy on the same images by two models, with an interval for pairs."""

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


def warnings_of(changes: tuple[Change, ...], card: ModelCard, of_hard: Mapping[str, ImageDataset]) -> tuple[str, ...]:
    """What the old and the hard test images, in this order, give reason to say aloud."""
    old, hard = changes
    found = []
    if old.change_ci[1] < 0:
        found.append(
            f"forgotten: accuracy on the old test images fell by {-100 * old.change:.1f} points "
            f"({-100 * old.change_ci[1]:.1f} to {-100 * old.change_ci[0]:.1f})"
        )
    if hard.change_ci[0] <= 0:
        found.append(f"on {hard.n} hard test images no gain is beyond chance")
    absent = [c for i, c in enumerate(card.classes) if not (of_hard["test"].labels == i).any()]
    if absent:
        found.append(
            f"the hard set has no {', '.join(absent)}: a rise on it may be bought with errors on {', '.join(absent)} "
            "like those, which nothing here measures"
        )
    return tuple(found)
