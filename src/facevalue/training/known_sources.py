"""Known source or silence: the limit on the distance to the nearest source, and what it does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from facevalue.data.dataset import ImageDataset
from facevalue.data.sources import sources_of
from facevalue.errors import UsageError
from facevalue.evaluation.calibration import novelty_limit
from facevalue.evaluation.calibration_set import CalibrationSet
from facevalue.evaluation.novelty import NoveltyData, known_images, scores_of
from facevalue.evidence.findings import finding, say
from facevalue.evidence.source_facts import SourceFacts, SourceRate
from facevalue.models.classifier import Classifier
from facevalue.models.features import Features
from facevalue.models.novelty.base import KnownImages
from facevalue.models.novelty.sources import SourceDistance
from facevalue.support import progress
from facevalue.support.formats import percent
from facevalue.training.settings.sources import ENOUGH, SourceSettings

SILENT = 0.8
"""Share of the images of left-out sources that should be beyond the limit; below it there is a finding."""

Floats = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class TrainingSources:
    """The sources of the training images.

    Attributes
    ----------
    names : label and source of each, sorted.
    numbers : (n,) the source of each training image.
    share : share of new images of known sources that should be within the limit.
    """

    names: tuple[tuple[str, str], ...]
    numbers: NDArray[np.int64]
    share: float

    @classmethod
    def of(cls, classifier: Classifier, train: ImageDataset, settings: SourceSettings | None) -> TrainingSources | None:
        """Those of ``train``; ``None`` where the model should not ask for sources.

        An image without a source counts for a source of its class that is named "".

        Parameters
        ----------
        settings : ``None`` for on.

        Raises
        ------
        UsageError
            ``sources.known`` is ``on``, and a class has no images with a source.
        """
        settings = SourceSettings(known="on") if settings is None else settings
        if settings.known == "off" or (settings.known == "auto" and classifier.card.gate is None):
            return None
        found = sources_of(train.rows) or [""] * len(train)
        labels = [classifier.card.classes[label] for label in train.labels]
        pairs = list(zip(labels, found, strict=True))
        names = tuple(sorted(set(pairs)))
        of_class = {label: sum(own == label and bool(name) for own, name in names) for label in classifier.card.classes}
        if min(of_class.values()) < ENOUGH and settings.known == "auto":
            return None
        if len(names) < ENOUGH or not any(name for _, name in names):
            raise UsageError(
                "`sources.known` is on, but the training images have no sources: put the images of each source into a "
                "folder of its own below the class's, or give a manifest with a column `source`"
            )
        number = {pair: i for i, pair in enumerate(names)}
        return cls(names, np.array([number[pair] for pair in pairs], np.int64), settings.share)


def with_known_sources(
    classifier: Classifier,
    sources: TrainingSources,
    train: Features,
    data: NoveltyData,
    held_out: CalibrationSet,
) -> Classifier:
    """A classifier with a limit on the distance to the nearest source.

    The limit is the conformal quantile for ``share`` of the distances of held-out images of known sources: each source
    counts the same, whatever its number of images. Then each source is left out of the fit, and its images say how
    often those of an unknown source are beyond the limit.

    Parameters
    ----------
    classifier : calibrated, with a :class:`SourceDistance`.
    train, data : what the score was fitted to.
    held_out : features of the calibration split.
    """
    score = classifier.novelty_score
    assert isinstance(score, SourceDistance)
    known = known_images(classifier, train, data.strangers, sources.numbers)
    within = _held_out(classifier, sources, known, data, held_out)
    limit = min(_limit(within, sources.share), classifier.card.abstention.novelty or np.inf)
    rates = tuple(_rate(sources.names[i], scores <= limit) for i, scores in within.items() if len(scores))
    left_out = []
    with progress.work("leaving each source out", len(sources.names), "sources") as work:
        for number, name in enumerate(sources.names):
            left_out.append(_rate(name, _left_out(classifier, known, number) > limit))
            work.advance(1, "/".join(name))
    facts = SourceFacts(
        names=tuple("/".join(name) for name in sources.names),
        counts=tuple(int((sources.numbers == i).sum()) for i in range(len(sources.names))),
        share=sources.share,
        known=rates,
        left_out=tuple(left_out),
    )
    card = classifier.card
    _say(facts)
    return classifier.changed(card.changed(sources=facts, abstention=card.abstention.changed(source=limit)))


def _held_out(
    classifier: Classifier,
    sources: TrainingSources,
    known: KnownImages,
    data: NoveltyData,
    held_out: CalibrationSet,
) -> Mapping[int, Floats]:
    """Distances of images that the score was not fitted with, by number of their source."""
    scores = held_out.images.novelty(classifier)
    pairs = zip(held_out.images.y, held_out.sources or [""] * len(scores), strict=True)
    names = [(classifier.card.classes[label], source) for label, source in pairs]
    assert known.sources is not None
    found = {}
    for number, name in enumerate(sources.names):
        own = np.array([one == name for one in names])
        mine = sources.numbers == number
        # Few calibration images are left of each source, so training images count too, each by a score without it.
        folds = _folds(classifier, known, mine, data.groups)
        found[number] = np.concatenate([scores[own], folds])
    return found


def _folds(
    classifier: Classifier, known: KnownImages, mine: NDArray[np.bool_], groups: NDArray[np.str_], folds: int = 5
) -> Floats:
    """Distances of the training images of one source, each by a score that was fitted without its group."""
    names, number = np.unique(groups[mine], return_inverse=True)
    places = np.flatnonzero(mine)
    fold = np.random.default_rng(0).permutation(len(names))[number] % folds
    parts = []
    for i in range(folds):
        here = places[fold == i]
        if 0 < len(here) < len(places):
            rest = np.ones(len(mine), bool)
            rest[here] = False
            score = SourceDistance.fitted(known.rows(rest))
            parts.append(scores_of(classifier, score, known.features[torch.from_numpy(here)]))
    return np.concatenate(parts) if parts else np.empty(0)


def _limit(scores: Mapping[int, Floats], share: float) -> float:
    """The smallest distance that ``share`` of the images have at most, where each source counts the same."""
    parts = [np.sort(part) for part in scores.values() if len(part)]
    # As many images of each: the quantiles of a source stand for its images.
    most = max(len(part) for part in parts)
    even = [np.quantile(part, (np.arange(most) + 0.5) / most, method="inverted_cdf") for part in parts]
    return novelty_limit(np.concatenate(even), share)


def _left_out(classifier: Classifier, known: KnownImages, number: int) -> Floats:
    """Distances of the images of one source by a score that was fitted without it."""
    assert known.sources is not None
    mine = known.sources.numbers == number
    if len(set(known.sources.numbers[~mine].tolist())) < ENOUGH:
        return np.empty(0)
    score = SourceDistance.fitted(known.rows(~mine))
    return scores_of(classifier, score, known.features[torch.from_numpy(mine)])


def _rate(name: tuple[str, str], mask: NDArray[np.bool_]) -> SourceRate:
    return SourceRate(label=name[0], source=name[1], n=len(mask), rate=float(mask.mean()) if len(mask) else 0.0)


def _say(facts: SourceFacts) -> None:
    weak = [one for one in facts.left_out if one.n and one.rate < SILENT]
    if weak:
        worst = min(weak, key=lambda one: one.rate)
        text = (
            f"left out of the fit, {len(weak)} of {len(facts.left_out)} sources are taken for known ones in more than "
            f"{percent(1 - SILENT)} of their images ({worst.name}: {percent(1 - worst.rate)}), so an unknown source is "
            "often answered as if it were known"
        )
        say([finding("unknown-sources-answered", text, sources=tuple(one.name for one in weak), lowest=worst.rate)])
