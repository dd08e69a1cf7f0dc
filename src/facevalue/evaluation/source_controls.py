"""Controls of sources: does a head learn the classes, or only the sources that the images are from?

All heads are ridge regressions onto the sources. A class score is the sum of the scores of its sources, because ridge
regression is linear in its targets; so one fit gives the scores of every way to label the sources.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, product
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from facevalue.evaluation import metrics
from facevalue.evaluation.ridge import STRENGTHS, Floats, Gram, Heads, Ints
from facevalue.evaluation.source_images import SourceImages
from facevalue.evidence.records import (
    Interval,
    PairFigures,
    Permuted,
    SourceFigures,
    SwapFigures,
    WithinClass,
)

Chosen = TypeVar("Chosen", tuple[int, int], tuple[int, int, int, int])

DRAWS = 200
"""Permutations of the class labels of whole sources."""

MOST_PAIRS = 100
MOST_SWAPS = 100

CHANCE = 0.5
"""AUROC of a score that says nothing."""

_BOOTSTRAP = 200
_ROOM = 0.05  # true accuracy must exceed that of the classes alone by this, to say how much permuted labels explain


@dataclass(frozen=True, eq=False)
class Controls:
    """The heads of one set of images.

    Attributes
    ----------
    heads : onto the sources, every source counting equally.
    scores : (n, m) cross-validated scores of the m sources.
    strength : inverse penalty, with the lowest error in predicting the *source*: no labelling of the sources is
        preferred to another.
    """

    images: SourceImages
    gram: Gram
    heads: Heads
    scores: Floats
    strength: float

    @classmethod
    def of(cls, images: SourceImages, features: NDArray[np.floating]) -> Controls:
        """Choose the strength and cross-validate."""
        gram = Gram.of(features)
        goals, weights = np.eye(len(images.names))[images.s], images.weights
        tried = {strength: gram.heads(goals, weights, strength) for strength in STRENGTHS}
        scores = {strength: cross_validated(images, heads) for strength, heads in tried.items()}
        errors = {k: float((weights[:, None] * np.square(found - goals)).sum()) for k, found in scores.items()}
        best = min(errors, key=errors.__getitem__)
        return cls(images, gram, tried[best], scores[best], best)

    @property
    def class_scores(self) -> Floats:
        """(n, k) cross-validated scores of the classes."""
        return self._of_classes(self.scores)

    def _of_classes(self, scores: Floats) -> Floats:
        return scores @ np.eye(len(self.images.classes))[self.images.class_of]

    @cached_property
    def right(self) -> NDArray[np.bool_]:
        """(n,) whether the true class of a held-out image is found."""
        return self._right(self.scores, self.images.class_of)

    @property
    def accuracy(self) -> tuple[float, Interval]:
        """Balanced accuracy with every source counting equally in its class, and its interval (MOVER)."""
        images, by_class = self.images, np.bincount(self.images.class_of)
        share = 1 / (len(by_class) * by_class[images.class_of])
        counts = [(int(self.right[images.s == i].sum()), int(n)) for i, n in enumerate(images.counts)]
        rates = np.array([right / n for right, n in counts])
        ends = np.array([metrics.wilson(right, n) for right, n in counts])
        centre = float(share @ rates)
        below, above = (float(np.sqrt(np.square(share * (rates - ends[:, side])).sum())) for side in (0, 1))
        return centre, (max(0.0, centre - below), min(1.0, centre + above))

    def permuted(self, rng: np.random.Generator, draws: int) -> Permuted | None:
        """Balanced accuracy with the labels of whole sources permuted; ``None`` if only the true ones are possible."""
        images = self.images
        labellings = permutations(images.class_of, rng, draws)
        if not labellings:
            return None
        by_class = np.bincount(images.class_of)
        # A head that knows only the class gives its sources equal scores.
        alone = (images.y[:, None] == images.class_of[None, :]) / by_class[images.class_of]
        found = np.array([self.balanced(self.scores, labels) for labels in labellings])
        expected = float(np.mean([self.balanced(alone, labels) for labels in labellings]))
        true, mean = self.accuracy[0], float(found.mean())
        low, high = np.percentile(found, (2.5, 97.5))
        return Permuted(
            draws=len(labellings),
            mean=mean,
            interval=(float(low), float(high)),
            by_class=expected,
            as_high=float((found >= true).mean()),
            explained=(mean - expected) / (true - expected) if true - expected >= _ROOM else None,
        )

    def balanced(self, scores: Floats, labels: Ints) -> float:
        """Balanced accuracy of scores (n, m) if the sources have these labels (m,), every source counting equally."""
        right = self._right(scores, labels)
        rates = np.bincount(self.images.s, right) / self.images.counts
        return float(np.mean([rates[labels == c].mean() for c in np.unique(labels)]))

    def _right(self, scores: Floats, labels: Ints) -> NDArray[np.bool_]:
        """The highest class score, after subtracting its mean over the classes on the images of the other folds.

        With two classes that is a threshold half way between the means of the classes.
        """
        images = self.images
        of_class = np.eye(int(labels.max()) + 1)[labels]
        classes, right = scores @ of_class, np.zeros(len(scores), bool)
        truth = labels[images.s]
        for fit, ask in images.folds:
            weights = of_class[images.s[fit]] * images.weights[fit][:, None]
            levels = (weights / np.maximum(weights.sum(axis=0), 1e-12)).T @ classes[fit]  # (class of images, score)
            right[ask] = (classes[ask] - levels.mean(axis=0)).argmax(axis=1) == truth[ask]
        return right

    def within(self, label: int) -> WithinClass:
        """How well the sources of a class are told apart."""
        images = self.images
        own, inside = np.flatnonzero(images.class_of == label), images.y == label
        if len(own) < 2:
            return WithinClass(label=images.classes[label], sources=len(own), auroc=None, auroc_ci=None)
        y = np.searchsorted(own, images.s[inside])
        area, ends = area_of(y, self.scores[np.ix_(inside, own)], len(own))
        return WithinClass(label=images.classes[label], sources=len(own), auroc=area, auroc_ci=ends)

    def by_source(self) -> list[SourceFigures]:
        """Each source, told apart and left out."""
        images = self.images
        found = []
        for i, name in enumerate(images.names):
            inside = images.y == images.class_of[i]
            mine = (images.s == i)[inside]
            told = None if mine.all() else _binary(mine, self.scores[inside, i])
            unseen = self._unseen(i)
            found.append(
                SourceFigures(
                    source=name,
                    label=images.classes[images.class_of[i]],
                    n=int(images.counts[i]),
                    told=None if told is None else told[0],
                    told_ci=None if told is None else told[1],
                    unseen=None if unseen is None else unseen[0],
                    unseen_ci=None if unseen is None else unseen[1],
                )
            )
        return found

    def _unseen(self, source: int) -> tuple[float, Interval] | None:
        """AUROC of a source that nothing was learned from, against held-out images of the other classes."""
        images = self.images
        out, label = images.named(source), int(images.class_of[source])
        if not self._enough(~out, range(len(images.classes))):
            return None
        mine = images.s == source
        asked = mine | ((images.y != label) & ~out)
        scores = np.zeros(len(images.y))
        for _, held in images.folds:
            without = np.union1d(np.flatnonzero(out), held)
            found = self._of_classes(self.heads.without(without))[:, label]
            shown = np.isin(without, held)
            scores[without[shown]] = found[shown]
        return _binary(mine[asked], scores[asked])

    def pairs(self, rng: np.random.Generator) -> list[PairFigures]:
        """One source of each of two classes, left out together."""
        images = self.images
        every = [
            (a, b)
            for a, b in combinations(range(len(images.names)), 2)
            if images.class_of[a] != images.class_of[b]
            and self._enough(~(images.named(a) | images.named(b)), (int(images.class_of[a]), int(images.class_of[b])))
        ]
        found = []
        for a, b in _drawn(every, rng, MOST_PAIRS):
            out = images.named(a) | images.named(b)
            without = np.flatnonzero(out)
            found_scores = self._of_classes(self.heads.without(without))
            first, second = int(images.class_of[a]), int(images.class_of[b])
            ask = np.isin(images.s[without], (a, b))
            scores = (found_scores[:, first] - found_scores[:, second])[ask]
            area, ends = _binary(images.s[without][ask] == a, scores)
            found.append(
                PairFigures(
                    sources=(images.names[a], images.names[b]),
                    labels=(images.classes[first], images.classes[second]),
                    n=int(ask.sum()),
                    auroc=area,
                    auroc_ci=ends,
                )
            )
        return found

    def swaps(self, rng: np.random.Generator) -> list[SwapFigures]:
        """Trained on one source of each of two classes, tested on another source of each; equally many images."""
        images = self.images
        every = [
            (a, b, c, d)
            for first, second in combinations(range(len(images.classes)), 2)
            for a, c in product(np.flatnonzero(images.class_of == first).tolist(), repeat=2)
            for b, d in product(np.flatnonzero(images.class_of == second).tolist(), repeat=2)
            if not {images.names[a], images.names[b]} & {images.names[c], images.names[d]}
        ]
        order = rng.permutation(len(images.y))
        found = []
        for a, b, c, d in _drawn(every, rng, MOST_SWAPS):
            size = int(min(images.counts[[a, b, c, d]]))
            fit, ask = (np.concatenate([order[images.s[order] == i][:size] for i in pair]) for pair in ((a, b), (c, d)))
            both = np.concatenate([fit, ask])
            goals = np.isin(images.s[both], (a, c))[:, None].astype(np.float64)
            heads = self.gram.part(both).heads(goals, np.ones(len(both)), self.strength)
            scores = heads.without(np.arange(len(fit), len(both)))[:, 0]
            area, ends = _binary(images.s[ask] == c, scores)
            found.append(
                SwapFigures(
                    trained=(images.names[a], images.names[b]),
                    tested=(images.names[c], images.names[d]),
                    n=len(ask),
                    auroc=area,
                    auroc_ci=ends,
                )
            )
        return found

    def _enough(self, kept: NDArray[np.bool_], labels: range | tuple[int, ...]) -> bool:
        present = set(self.images.y[kept].tolist())
        return all(label in present for label in labels)


def permutations(class_of: Ints, rng: np.random.Generator, draws: int) -> list[Ints]:
    """Random permutations of the sources' labels, without those that divide the sources as the true labels do.

    Empty if there is no other division: one source in each of two classes.
    """
    if len(class_of) == len(np.unique(class_of)):
        return []
    true = _division(class_of)
    found: list[Ints] = []
    while len(found) < draws:
        labels = rng.permutation(class_of)
        if _division(labels) != true:
            found.append(labels)
    return found


def _division(labels: Ints) -> frozenset[frozenset[int]]:
    """Which sources share a label, whatever its name is."""
    return frozenset(frozenset(np.flatnonzero(labels == c).tolist()) for c in np.unique(labels))


def cross_validated(images: SourceImages, heads: Heads) -> Floats:
    """(n, t) scores of each image by heads that were fitted without its fold."""
    scores = np.zeros_like(heads.goals)
    for _, held in images.folds:
        scores[held] = heads.without(held)
    return scores


def _drawn(every: Sequence[Chosen], rng: np.random.Generator, most: int) -> Sequence[Chosen]:
    if len(every) <= most:
        return every
    return [every[i] for i in np.sort(rng.permutation(len(every))[:most])]


def _binary(positive: NDArray[np.bool_], score: Floats) -> tuple[float, Interval]:
    area = metrics.auroc(positive.astype(np.int64), np.stack([-score, score], 1), 1)
    return area, metrics.auroc_interval(area, int(positive.sum()), int((~positive).sum()))


def area_of(y: Ints, scores: Floats, k: int) -> tuple[float, Interval]:
    """AUROC and its interval; for more than two classes the mean of each against the rest, bootstrapped."""
    if k == 2:
        return _binary(y == 1, scores[:, 1])
    area = metrics.auroc(y, scores)
    return area, metrics.bootstrap(lambda i: metrics.auroc(y[i], scores[i]), len(y), draws=_BOOTSTRAP)
