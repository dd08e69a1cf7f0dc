"""How often a model answers images that it must refuse."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from facevalue import decision
from facevalue.data.dataset import ImageDataset
from facevalue.data.face_boxes import is_unsure
from facevalue.evaluation import metrics
from facevalue.evaluation.stability import stable_answers
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

    Stable answers are made for both where the card has them. Strangers are not looked at by a face gate.

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
    own_refused, _ = _judged(classifier, own, familiar)
    if classifier.card.gate is not None:
        own_refused |= is_unsure(own.rows)
    refused, decided = _judged(classifier, strangers, far)
    kept, answered = ~own_refused, ~refused
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
        warnings=(*_without_gate(classifier.card), *_answered_often(sets)),
    )


def _judged(
    classifier: Classifier, dataset: ImageDataset, features: Features
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """(n,) whether the classifier abstains, for any reason, and (n,) the predicted class."""
    card = classifier.card
    if card.inputs > 1:
        answers = stable_answers(classifier, dataset, features)
        p, unstable = answers.p, answers.unstable
    else:
        p, unstable = features.probabilities(classifier), None
    decided = decision.decide(p, card.positive_index, card.threshold)
    leaning, positive = p[np.arange(len(p)), decided], decided == card.positive_index
    why = decision.abstentions(card.limits, leaning, features.novelty(classifier), positive, unstable)
    refused: NDArray[np.bool_] = np.logical_or.reduce(list(why.values()))
    return refused, decided


def _without_gate(card: ModelCard) -> tuple[Finding, ...]:
    if card.gate is None:
        return ()
    text = (
        "strangers were scored as whole images, without looking for a face: the figures are of the network alone, and "
        "in use the face gate refuses most images without a face before it"
    )
    return (finding("strangers-without-gate", text),)


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
