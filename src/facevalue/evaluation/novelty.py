"""Fits novelty scores, compares them on strangers that they do not know, and sets the limit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facevalue.evaluation.calibration import novelty_limit
from facevalue.evidence.card import NoveltyFacts
from facevalue.models.classifier import Classifier
from facevalue.models.features import Features
from facevalue.models.novelty import SCORES, KnownImages, NoveltyScore
from facevalue.models.novelty.bank import thinned
from facevalue.support import progress

STRANGERS = 1000
"""Most strangers that a score is fitted with. More are thinned out evenly over the sets."""

SAME = 0.01
"""Shares of answered strangers that differ by less count as equal: then the first score in the list is kept."""

FOLDS = 5

Floats = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class NoveltyData:
    """What novelty is fitted with, besides the images of the classes.

    Attributes
    ----------
    strangers : features (m, d) of images that must be refused, by set; from the same network as the other features.
    groups : (n,) group of each training image; a group is scored by a score that has not seen it. By default each
        image is its own.
    scores : names of the scores to compare, the preferred ones first.
    quantile : share of images of the classes that must not count as novel.
    """

    strangers: Mapping[str, Tensor] = field(default_factory=dict)
    groups: Sequence[str] | None = None
    scores: Sequence[str] = ("contrast",)
    quantile: float = 0.95


def with_novelty(
    classifier: Classifier, train: Features, data: NoveltyData, held_out: Features
) -> tuple[Classifier, Floats | None]:
    """A classifier with the best of the scores, fitted to the features of its training split.

    Parameters
    ----------
    held_out : features of the calibration split; they set the limits that the scores are compared at.

    Returns
    -------
    The classifier, whose limit is still to be set, and the scores of the training images for it: see
    :func:`out_of_fold`.
    """
    known = _known(classifier, train, data.strangers)
    compared = {}
    with progress.work("comparing novelty scores", len(data.scores), "scores") as work:
        for name in data.scores:
            compared[name] = answered_of_unknown(classifier, name, known, data, held_out)
            work.advance(1, name)
    lowest = min(compared.values())
    chosen = next(name for name, share in compared.items() if share <= lowest + SAME)
    facts = NoveltyFacts(
        score=chosen,
        strangers={name: len(features) for name, features in data.strangers.items()},
        compared=compared if data.strangers else {},
    )
    card = classifier.card.changed(novelty=facts)
    kind = SCORES[chosen]
    return (
        classifier.changed(card, novelty_score=kind.fitted(known)),
        out_of_fold(classifier, kind, known, data.groups),
    )


def fitted_score(
    classifier: Classifier, kind: type[NoveltyScore], train: Features, strangers: Mapping[str, Tensor]
) -> NoveltyScore:
    """A score of this kind for a classifier, fitted to the features of its training split."""
    return kind.fitted(_known(classifier, train, strangers))


def _known(classifier: Classifier, train: Features, strangers: Mapping[str, Tensor]) -> KnownImages:
    return KnownImages.of(train.x, train.logits(classifier), train.y, _joined(strangers, train.x))


def answered_of_unknown(
    classifier: Classifier, name: str, known: KnownImages, data: NoveltyData, held_out: Features
) -> float:
    """Share of strangers that a score would not refuse: the mean over the sets, each left out of the fit in turn.

    The limit is that of the calibration split. 0 where there are no strangers.
    """
    kind, shares = SCORES[name], []
    score = None if kind.learns_strangers else kind.fitted(known)
    for left_out, features in data.strangers.items():
        others = {other: part for other, part in data.strangers.items() if other != left_out}
        one = score or kind.fitted(known.against(_joined(others, features)))
        limit = novelty_limit(scores_of(classifier, one, held_out.x), data.quantile)
        shares.append(float((scores_of(classifier, one, features) <= limit).mean()))
    return float(np.mean(shares)) if shares else 0.0


def out_of_fold(
    classifier: Classifier, kind: type[NoveltyScore], known: KnownImages, groups: Sequence[str] | None
) -> Floats | None:
    """(n,) score of each training image by a score that was fitted without its group.

    A calibration split with few groups (persons, renderings) hardly shows how much a new group differs; the training
    split has more of them (cross-conformal prediction, Vovk 2015, arXiv:1208.0806). ``None`` if a class has all its
    groups in one fold.
    """
    n = len(known.labels)
    names, number = np.unique(np.arange(n) if groups is None else np.asarray(groups), return_inverse=True)
    fold = np.random.default_rng(0).permutation(len(names))[number] % FOLDS
    classes = len(np.unique(known.labels))
    found = np.empty(n)
    for i in range(FOLDS):
        if len(np.unique(known.labels[fold != i])) < classes:
            return None
        if (fold == i).any():
            score = kind.fitted(known.rows(fold != i))
            found[fold == i] = scores_of(classifier, score, known.features[torch.from_numpy(fold == i)])
    return found


def scores_of(classifier: Classifier, score: NoveltyScore, features: Tensor) -> Floats:
    """(n,) scores of (n, d) features by a score that need not be the classifier's own."""
    return Features(features, np.zeros(len(features), np.int64)).novelty(classifier, score)


def _joined(strangers: Mapping[str, Tensor], like: Tensor) -> Tensor:
    """(m, d) features of all sets, thinned out evenly if they are many."""
    if not strangers:
        return like[:0]
    sets = np.repeat(np.arange(len(strangers)), [len(part) for part in strangers.values()])
    return torch.cat(list(strangers.values()))[thinned(sets, STRANGERS)]
