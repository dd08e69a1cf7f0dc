"""Evaluates a model on labelled images."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from facevalue import decision
from facevalue.data.dataset import ImageDataset
from facevalue.errors import FaceValueError
from facevalue.evaluation import confusion_checks, metrics, risk_coverage
from facevalue.evaluation.probability_figures import probability_figures
from facevalue.evidence.card import ModelCard
from facevalue.evidence.findings import finding
from facevalue.evidence.provenance import Provenance
from facevalue.evidence.records import Evaluation, Interval
from facevalue.models.classifier import Classifier
from facevalue.models.features import Features, features_of

SMALL = 30
"""A class with fewer images than this gets a warning, because its intervals are wide."""


def evaluate_dataset(classifier: Classifier, dataset: ImageDataset, *, features: Features | None = None) -> Evaluation:
    """All evaluation figures of a classifier on a dataset.

    Parameters
    ----------
    dataset : labelled with the classifier's classes.
    features : of the dataset; computed if ``None``.
    """
    start = time.perf_counter()
    features = features if features is not None else features_of(classifier, dataset, f"evaluating on {dataset.name}")
    groups = [str(group) for group in dataset.rows["group"]]
    p, novelty = features.probabilities(classifier), features.novelty(classifier)
    found = figures(classifier.card, features.y, p, novelty, groups)
    return found.changed(unreadable=dataset.unreadable, provenance=Provenance.of(dataset, start))


def figures(
    card: ModelCard,
    y: NDArray[np.int64],
    p: NDArray[np.float64],
    novelty: NDArray[np.float64],
    groups: Sequence[str] = (),
) -> Evaluation:
    """The evaluation figures only; the provenance holds just n.

    Parameters
    ----------
    y : (n,) true classes, indices into ``card.classes``.
    p : (n, k) calibrated probabilities.
    novelty : (n,) distances.
    groups : (n,) group of each image; "" where it is its own. Intervals of the probabilities count groups.
    """
    if not np.isfinite(p).all():
        raise FaceValueError(
            f"the model gave probabilities that are not finite for {int((~np.isfinite(p).all(1)).sum())} of {len(y)} "
            "images, so it has no figures; its weights may hold NaN"
        )
    k, n = len(card.classes), len(y)
    positive = card.positive_index
    decided = decision.decide(p, positive, card.threshold)
    right = decided == y
    why = decision.abstentions(card.abstention, p[np.arange(n), decided], novelty, decided == positive)
    answered = ~np.logical_or.reduce(list(why.values()))
    n_answered, right_answered = int(answered.sum()), int((right & answered).sum())
    present = [c for c in range(k) if (y == c).any()]
    draws = 500 if n <= 20_000 else 100

    auroc, probable = metrics.auroc(y, p, positive), probability_figures(y, p, groups, draws)
    confidence = p[np.arange(n), decided]
    average_precision = metrics.average_precision(y, p, positive)
    confusion = metrics.confusion(y, decided, k)
    doubt = confusion_checks.exchanged(card.classes, confusion)
    warnings = [*confusion_checks.never_predicted(card.classes, confusion), *([] if doubt is None else [doubt])]
    counts = {label: int((y == c).sum()) for c, label in enumerate(card.classes)}
    warnings += [
        finding(
            "few-images-of-class",
            f"only {count} image{'s' * (count != 1)} of {label!r}: read the intervals, not only the figures",
            label=label,
            n=count,
        )
        for label, count in counts.items()
        if 0 < count < SMALL
    ]
    warnings += [
        finding("no-image-of-class", f"no image of {label!r}", label=label)
        for label, count in counts.items()
        if not count
    ]
    return Evaluation(
        provenance=Provenance(n=n),
        classes=card.classes,
        accuracy=float(right.mean()),
        accuracy_ci=metrics.wilson(int(right.sum()), n),
        balanced_accuracy=metrics.balanced_accuracy(y, decided),
        balanced_accuracy_ci=metrics.mean_of_rates([(int(right[y == c].sum()), int((y == c).sum())) for c in present]),
        auroc=None if np.isnan(auroc) else auroc,
        auroc_ci=None if np.isnan(auroc) else _auroc_ci(auroc, y, p, positive, draws),
        average_precision=None if np.isnan(average_precision) else average_precision,
        confusion=tuple(tuple(int(v) for v in row) for row in confusion),
        recall={card.classes[c]: float(right[y == c].mean()) for c in present},
        recall_ci={card.classes[c]: metrics.wilson(int(right[y == c].sum()), int((y == c).sum())) for c in present},
        abstained=n - n_answered,
        coverage=n_answered / n,
        accuracy_answered=right_answered / n_answered if n_answered else None,
        accuracy_answered_ci=metrics.wilson(right_answered, n_answered) if n_answered else None,
        reasons={reason: int(mask.sum()) for reason, mask in why.items()},
        aurc=risk_coverage.aurc(confidence, ~right),
        e_aurc=risk_coverage.e_aurc(confidence, ~right),
        risk_coverage=risk_coverage.curve(confidence, ~right),
        answered=tuple(tuple(int(v) for v in row) for row in metrics.confusion(y[answered], decided[answered], k)),
        **{name: getattr(probable, name) for name in probable.__struct_fields__},
        warnings=tuple(warnings),
    )


def _auroc_ci(area: float, y: NDArray[np.int64], p: NDArray[np.float64], positive: int | None, draws: int) -> Interval:
    if positive is not None:
        of_positive = int((y == positive).sum())
        return metrics.auroc_interval(area, of_positive, len(y) - of_positive)
    return metrics.bootstrap(lambda i: metrics.auroc(y[i], p[i]), len(y), draws=draws)
