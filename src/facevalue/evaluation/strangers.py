"""How often a model answers images that it must refuse."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from facevalue import decision
from facevalue.data.dataset import ImageDataset
from facevalue.evaluation import metrics
from facevalue.evidence.card import ModelCard
from facevalue.evidence.findings import Finding, finding
from facevalue.evidence.provenance import Provenance
from facevalue.evidence.records import StrangerFigures, StrangerReport
from facevalue.models.classifier import Classifier
from facevalue.models.features import Extractor, Features
from facevalue.support.formats import percent

OFTEN = 0.05
"""A set is answered too often if the lower end of its interval is above this share."""

Masks = dict[str, NDArray[np.bool_]]


def evaluate_strangers(
    classifier: Classifier,
    own: ImageDataset,
    strangers: ImageDataset,
    *,
    own_features: Features | None = None,
    stranger_features: Features | None = None,
) -> StrangerReport:
    """The share of strangers that a classifier answers, by set, beside the share of its own images.

    Parameters
    ----------
    own : images of the classes that it was not trained on.
    strangers : the labels are the names of the sets.
    own_features, stranger_features : computed if ``None``.
    """
    start = time.perf_counter()
    extractor = Extractor(classifier)
    familiar = own_features or extractor.of(own)
    far = stranger_features or extractor.of(strangers, "computing features of strangers")
    kept = ~_refused(classifier, familiar)
    answered, decided = ~_refused(classifier, far), _decided(classifier, far)
    novelty, own_novelty = far.novelty(classifier), familiar.novelty(classifier)
    sets = []
    for number, name in enumerate(strangers.classes):
        of_set = strangers.labels == number
        n, of_answered = int(of_set.sum()), int((of_set & answered).sum())
        if not n:
            continue
        sets.append(
            StrangerFigures(
                name=name,
                n=n,
                answered=of_answered / n,
                answered_ci=metrics.wilson(of_answered, n),
                auroc=_auroc(own_novelty, novelty[of_set]),
                answered_as=_counts(classifier.card, decided[of_set & answered]),
            )
        )
    return StrangerReport(
        provenance=Provenance.of(own, start),
        strangers=strangers.source,
        strangers_fingerprint=strangers.fingerprint,
        score=classifier.card.novelty.score,
        answered_own=float(kept.mean()),
        answered_own_ci=metrics.wilson(int(kept.sum()), len(kept)),
        sets=tuple(sets),
        warnings=_answered_often(sets),
    )


def _refused(classifier: Classifier, features: Features) -> NDArray[np.bool_]:
    """(n,) whether the classifier abstains, for any reason."""
    p, decided = features.probabilities(classifier), _decided(classifier, features)
    why = decision.abstentions(classifier.card.abstention, p[np.arange(len(p)), decided], features.novelty(classifier))
    refused: NDArray[np.bool_] = np.logical_or.reduce(list(why.values()))
    return refused


def _decided(classifier: Classifier, features: Features) -> NDArray[np.int64]:
    card = classifier.card
    return decision.decide(features.probabilities(classifier), card.positive_index, card.threshold)


def _auroc(own: NDArray[np.float64], strangers: NDArray[np.float64]) -> float:
    """Probability that a stranger is more novel than an own image; equal novelty counts half."""
    below = np.searchsorted(np.sort(own), strangers, side="left")
    up_to = np.searchsorted(np.sort(own), strangers, side="right")
    return float((below + up_to).mean() / (2 * len(own)))


def _counts(card: ModelCard, decided: NDArray[np.int64]) -> dict[str, int]:
    return {label: int((decided == c).sum()) for c, label in enumerate(card.classes) if (decided == c).any()}


def _answered_often(sets: Sequence[StrangerFigures]) -> tuple[Finding, ...]:
    found = []
    for one in sets:
        if one.answered_ci[0] > OFTEN:
            most = max(one.answered_as, key=lambda label: one.answered_as[label])
            text = (
                f"{percent(one.answered)} of {one.n} images of {one.name!r} are answered although the model must "
                f"refuse them, most of them as {most!r}"
            )
            found.append(finding("strangers-answered", text, set=one.name, answered=one.answered, n=one.n))
    return tuple(found)
