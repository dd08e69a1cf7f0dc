"""Fits novelty scores, compares them on strangers that they do not know, and says what an image may reach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facevalue.evaluation.calibration import Unseen, novelty_limit
from facevalue.evidence.card import NoveltyFacts
from facevalue.models.classifier import Classifier
from facevalue.models.features import Features
from facevalue.models.novelty import SCORES, KnownImages, NoveltyScore
from facevalue.models.novelty.bank import stored, thinned
from facevalue.models.novelty.base import SourceImages
from facevalue.support import machine, progress

STRANGERS = 1000
"""Most strangers that a score is fitted with. More are thinned out evenly over the sets."""

SAME = 0.01
"""Shares of answered strangers that differ by less count as equal: then the first score in the list is kept."""

FOLDS = 10

CLUSTER = 40
"""Mean number of images in a cluster of :func:`clusters_of`."""

Floats = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class NoveltyData:
    """What novelty is fitted with, besides the images of the classes.

    Attributes
    ----------
    strangers : features (m, d) of images that must be refused, by set; from the same network as the other features.
    groups : (n,) group of each training image.
    scores : names of the scores to compare, the preferred ones first.
    quantile : share of images of the classes that must not count as novel.
    sources : (n,) number of each training image's source; ``None`` if the score does not ask for it.
    """

    groups: NDArray[np.str_]
    strangers: Mapping[str, Tensor] = field(default_factory=dict)
    scores: Sequence[str] = ("contrast",)
    quantile: float = 0.95
    sources: NDArray[np.int64] | None = None


def with_novelty(
    classifier: Classifier, train: Features, data: NoveltyData, held_out: Features
) -> tuple[Classifier, Unseen]:
    """A classifier with the best of the scores, fitted to the features of its training split.

    Parameters
    ----------
    held_out : features of the calibration split; they set the limits that the scores are compared at.

    Returns
    -------
    The classifier, whose limit is still to be set, and what images that its score does not know reach.
    """
    known = known_images(classifier, train, data.strangers, data.sources)
    left_out = {}
    with progress.work("comparing novelty scores", len(data.scores), "scores") as work:
        for name in data.scores:
            left_out[name] = left_out_strangers(classifier, SCORES[name], known, data.strangers)
            machine.trim_memory()  # of wide features a fit leaves hundreds of megabytes
            work.advance(1, name)
    compared = {name: _answered(classifier, name, known, left_out[name], held_out, data) for name in data.scores}
    lowest = min(compared.values())
    chosen = next(name for name, share in compared.items() if share <= lowest + SAME)
    facts = NoveltyFacts(
        score=chosen,
        strangers={name: len(features) for name, features in data.strangers.items()},
        compared=compared if data.strangers else {},
    )
    kind = SCORES[chosen]
    unseen = Unseen(
        scores=out_of_fold(classifier, kind, known, data.groups),
        room=_room(classifier, kind, known, left_out[chosen], data.quantile),
    )
    machine.trim_memory()
    # Facts and limit of another score's sources do not fit this one.
    card = classifier.card.changed(
        novelty=facts, sources=None, abstention=classifier.card.abstention.changed(source=None)
    )
    return classifier.changed(card, novelty_score=kind.fitted(known)), unseen


def fitted_score(
    classifier: Classifier,
    kind: type[NoveltyScore],
    train: Features,
    strangers: Mapping[str, Tensor],
    sources: NDArray[np.int64] | None = None,
) -> NoveltyScore:
    """A score of this kind for a classifier, fitted to the features of its training split.

    Parameters
    ----------
    sources : (n,) number of each training image's source, if the score asks for it.
    """
    return kind.fitted(known_images(classifier, train, strangers, sources))


def left_out_strangers(
    classifier: Classifier, kind: type[NoveltyScore], known: KnownImages, strangers: Mapping[str, Tensor]
) -> dict[str, Floats]:
    """(m,) scores of the strangers of each set, by a score that was fitted without that set."""
    found = {}
    fitted = None if kind.learns_strangers else kind.fitted(known)
    for left_out, features in strangers.items():
        others = {name: part for name, part in strangers.items() if name != left_out}
        score = fitted or kind.fitted(known.against(_joined(others, features)))
        found[left_out] = scores_of(classifier, score, features)
    return found


def _answered(
    classifier: Classifier,
    name: str,
    known: KnownImages,
    left_out: Mapping[str, Floats],
    held_out: Features,
    data: NoveltyData,
) -> float:
    """Mean over the left-out sets of the share that would be answered, at the limit of the calibration split."""
    if not left_out:
        return 0.0
    limit = novelty_limit(scores_of(classifier, SCORES[name].fitted(known), held_out.x), data.quantile)
    return float(np.mean([(scores <= limit).mean() for scores in left_out.values()]))


def out_of_fold(
    classifier: Classifier, kind: type[NoveltyScore], known: KnownImages, groups: NDArray[np.generic]
) -> Floats:
    """Scores of training images, each by a score that was fitted without its group.

    A calibration split with few groups (persons, renderings) hardly shows how much a new group differs; the training
    split has more of them (cross-conformal prediction, Vovk 2015, arXiv:1208.0806). Images of a class that has all its
    groups in one fold are left out.
    """
    names, number = np.unique(groups, return_inverse=True)
    fold = np.random.default_rng(0).permutation(len(names))[number] % FOLDS
    classes = set(known.labels.tolist())
    parts = []
    for i in range(FOLDS):
        mine = fold == i
        if mine.any() and set(known.labels[~mine].tolist()) == classes:
            score = kind.fitted(known.rows(~mine))
            parts.append(scores_of(classifier, score, known.features[torch.from_numpy(mine)]))
    return np.concatenate(parts) if parts else np.empty(0)


def _room(
    classifier: Classifier,
    kind: type[NoveltyScore],
    known: KnownImages,
    left_out: Mapping[str, Floats],
    quantile: float,
) -> float:
    """A limit that leaves room for images unlike all known ones, as far as no stranger needs it.

    Images come in hidden groups: bursts, or renderings of one figure. So whole clusters are left out, which asks for
    more room than single images do. It ends at the lowest score of a stranger whose set was left out.
    """
    if not left_out:
        return 0.0
    scores = out_of_fold(classifier, kind, known, clusters_of(known))
    nearest = min(float(values.min()) for values in left_out.values())
    return min(novelty_limit(scores, quantile), nearest) if len(scores) else 0.0


def clusters_of(known: KnownImages) -> NDArray[np.int64]:
    """(n,) a number for each training image: that of its cluster in its class, by k-means on directions.

    Dhillon & Modha 2001, *Concept decompositions for large sparse text data using clustering*.
    """
    unit = torch.nn.functional.normalize(stored(known.features, known.projection).double())
    found = np.empty(len(unit), np.int64)
    first = 0
    for label in np.unique(known.labels):
        members = np.flatnonzero(known.labels == label)
        x = unit[members]
        count = min(len(members), max(FOLDS // 2, round(len(members) / CLUSTER)))
        centres = x[np.random.default_rng(0).permutation(len(members))[:count]]
        for _ in range(10):
            nearest = (x @ centres.T).argmax(1)
            sums = torch.zeros_like(centres).index_add_(0, nearest, x)
            centres = torch.where(sums.any(1, keepdim=True), torch.nn.functional.normalize(sums), centres)
        found[members] = first + (x @ centres.T).argmax(1).numpy()
        first += count
    return found


def scores_of(classifier: Classifier, score: NoveltyScore, features: Tensor) -> Floats:
    """(n,) scores of (n, d) features by a score that need not be the classifier's own."""
    return Features(features, np.zeros(len(features), np.int64)).novelty(classifier, score)


def known_images(
    classifier: Classifier,
    train: Features,
    strangers: Mapping[str, Tensor],
    sources: NDArray[np.int64] | None = None,
) -> KnownImages:
    """What a score is fitted to; ``sources`` is (n,) the number of each training image's source."""
    known = KnownImages.of(train.x, train.logits(classifier), train.y, _joined(strangers, train.x))
    return known if sources is None else replace(known, sources=SourceImages.of(train.x, sources))


def _joined(strangers: Mapping[str, Tensor], like: Tensor) -> Tensor:
    """(m, d) features of all sets, thinned out evenly if they are many."""
    if not strangers:
        return like[:0]
    sets = np.repeat(np.arange(len(strangers)), [len(part) for part in strangers.values()])
    return torch.cat(list(strangers.values()))[thinned(sets, STRANGERS)]
