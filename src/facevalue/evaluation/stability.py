"""Stable answers: their probabilities from several versions of the network input, and the limits of their disagreement.

The limits are chosen on the calibration split, so that few answers flip when an image is saved again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from facevalue import decision
from facevalue.data.dataset import ImageDataset
from facevalue.evidence.card import Abstention, ModelCard, Stability
from facevalue.evidence.findings import Finding, finding
from facevalue.images.remaking import EVERYDAY, Pipeline
from facevalue.images.versions import versions_of
from facevalue.models.calibration.temperature import fit_temperature
from facevalue.models.classifier import Classifier
from facevalue.models.features import Change, Extractor, Features
from facevalue.support.formats import percent

MOST = 200
"""Calibration images, drawn evenly from the classes, that are re-made to choose the limit."""

FLIPS = 0.01
"""Share of the answers that may flip."""

Floats = NDArray[np.float64]


def version_probabilities(
    classifier: Classifier, dataset: ImageDataset, extractor: Extractor, own: Features | None = None
) -> tuple[Floats, Features]:
    """Probabilities (v, n, k) of all versions of each network input, and the features of the inputs themselves.

    Parameters
    ----------
    extractor : of the classifier.
    own : features of the inputs themselves; computed if ``None``.
    """
    own = extractor.of(dataset) if own is None else own
    found = [own.probabilities(classifier)]
    for number in range(1, classifier.card.inputs):
        what = f"computing version {number + 1} of {classifier.card.inputs} of {dataset.name}"
        x = extractor.features(dataset, what, _change(number))
        found.append(Features(x, own.y).probabilities(classifier))
    return np.stack(found), own


def _change(number: int) -> Change:
    return lambda pixels, _: versions_of(pixels, number)


def stable_answers(classifier: Classifier, dataset: ImageDataset, own: Features) -> decision.Combined:
    """The stable answers of a classifier whose card has them."""
    versions, _ = version_probabilities(classifier, dataset, Extractor(classifier), own)
    return decision.combined(classifier.card, versions)


@dataclass(frozen=True, eq=False)
class Pairs:
    """Images as they are and re-made, that are both answered if ``support`` allows.

    Attributes
    ----------
    support : (m,) the lower of the two supports, see :func:`facevalue.decision.support_of`.
    flipped : (m,) whether the labels differ.
    """

    support: Floats
    flipped: NDArray[np.bool_]

    def counts(self, limit: float) -> tuple[int, int]:
        """Flips and answers with this limit."""
        kept = self.support >= limit
        return int((self.flipped & kept).sum()), int(kept.sum())


def support_limit(pairs: Pairs, target: float = FLIPS) -> float:
    """The lowest limit of support with which at most ``target`` of the answers flip.

    One more flip is counted than there is, as for a new pair (Angelopoulos et al. 2024, arXiv:2208.02814). If no limit
    reaches the target, it is the lowest one above all flips.

    >>> pairs = Pairs(np.array([0.2, 0.55, 0.6, 0.9]), np.array([True, False, True, False]))
    >>> support_limit(pairs, 0.5), support_limit(pairs, 0.4), support_limit(pairs, 0.01)
    (0.375, 0.75, 0.75)
    """
    order = np.argsort(pairs.support, kind="stable")
    support, flipped = pairs.support[order], pairs.flipped[order]
    if not flipped.any():
        return 0.0
    # With the pairs from position i on: flips, and answers.
    flips = np.append(np.cumsum(flipped[::-1])[::-1], 0)
    answers = np.arange(len(support), -1, -1)
    # A limit can only lie between two different supports, and it helps only just above a flip.
    starts = np.append(0, np.flatnonzero(flipped) + 1)
    starts = starts[(starts == 0) | (starts == len(support)) | (support[starts - 1] < support[starts % len(support)])]
    good = starts[(flips[starts] + 1) / (answers[starts] + 1) <= target]
    first = int(good[0]) if len(good) else int(starts[-1])
    if first == 0:
        return 0.0
    # Halfway to the next pair, so that rounding in another engine does not change an answer.
    return float((support[first - 1] + support[first]) / 2) if first < len(support) else 1.01


def with_stability(
    classifier: Classifier,
    images: ImageDataset,
    own: Features,
    inputs: int,
    limits: Callable[[Floats], Abstention],
    pipelines: Sequence[Pipeline] = EVERYDAY,
) -> tuple[Classifier, tuple[Finding, ...]]:
    """A classifier with stable answers from ``inputs`` versions, and findings about their calibration.

    Parameters
    ----------
    classifier : calibrated for one network input.
    images : the calibration split.
    own : its features.
    limits : chooses the limits of abstention for the calibrated probabilities (n, k) of stable answers on ``images``.
    pipelines : re-makings on which at most :data:`FLIPS` of the answers should flip.
    """
    card = classifier.card.with_inputs(0).with_inputs(inputs)
    assert card.stability is not None
    classifier = classifier.changed(card)
    extractor = Extractor(classifier)
    versions, own = version_probabilities(classifier, images, extractor, own)
    mean = decision.mean_of_versions(versions)
    temperature = fit_temperature(torch.from_numpy(np.log(mean.clip(1e-12))), own.y)
    chosen = limits(decision.mean_of_versions(versions, temperature))
    stability = card.stability.changed(temperature=temperature, abstention=chosen)
    card = card.changed(stability=stability)
    some = images.some(MOST)
    if len(some) < len(images):
        versions, own = version_probabilities(classifier, some, extractor)
    original = _judged(card, versions, own.novelty(classifier))
    pairs = []
    for pipeline in pipelines:
        made, features = version_probabilities(classifier, some.remade(pipeline), extractor)
        pairs.append(_paired(original, _judged(card, made, features.novelty(classifier))))
    joined = Pairs(np.concatenate([p.support for p in pairs]), np.concatenate([p.flipped for p in pairs]))
    limit = support_limit(joined)
    flips, answers = joined.counts(limit)
    stability = stability.changed(
        support=limit,
        target=FLIPS,
        flips=flips,
        answers=answers,
        pipelines=tuple(pipeline.name for pipeline in pipelines),
        n=len(some),
    )
    return classifier.changed(card.changed(stability=stability)), tuple(_findings(stability))


@dataclass(frozen=True, eq=False)
class _Judged:
    """Stable answers (n,): the class, whether there is an answer apart from ``support``, and the support."""

    decided: NDArray[np.int64]
    answered: NDArray[np.bool_]
    support: Floats


def _judged(card: ModelCard, versions: Floats, novelty: Floats) -> _Judged:
    found = decision.combined(card, versions)
    decided = decision.decide(found.p, card.positive_index, card.threshold)
    leaning = found.p[np.arange(len(decided)), decided]
    masks = decision.abstentions(card.limits, leaning, novelty, decided == card.positive_index, found.unstable)
    return _Judged(decided, ~np.logical_or.reduce(list(masks.values())), decision.support_of(versions, decided))


def _paired(original: _Judged, made: _Judged) -> Pairs:
    both = original.answered & made.answered
    support = np.minimum(original.support, made.support)
    return Pairs(support[both].astype(np.float64), (original.decided != made.decided)[both])


def _findings(stability: Stability) -> list[Finding]:
    if (stability.flips + 1) / (stability.answers + 1) <= FLIPS:
        return []
    text = (
        f"{stability.flips} of {stability.answers} answers flip on {stability.n} re-made calibration images: too few "
        f"answers, or too many flips, to show that at most {percent(FLIPS, 0)} of the answers flip"
    )
    return [finding("few-images-for-stability", text, flips=stability.flips, answers=stability.answers, n=stability.n)]
