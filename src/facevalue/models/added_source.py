"""Changes a two-class head for the images of a new source, as little as possible for the images already known."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facevalue.models.classifier import Classifier
from facevalue.models.novelty.sources import SourceDistance
from facevalue.models.source_space import Moments, Space

WEIGHTS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Weights of a new source that are compared, as shares of the weight of all known images together."""

SURE = 3.0
"""Wanted margin of a new image from the threshold, in nats after the temperature: a probability of 0.95 at 0.5."""

RIDGE = 1e-3
"""Penalty on the change itself, as a share of the mean variance of known images."""


@dataclass(frozen=True, eq=False)
class NewImages:
    """Images of one new source.

    Attributes
    ----------
    label : number of their class.
    features : (n, d).
    """

    label: int
    features: Tensor


@dataclass(frozen=True, eq=False)
class Step:
    """A change of the margin: ``coordinates @ u + shift``."""

    u: Tensor
    shift: float

    def of(self, z: Tensor) -> Tensor:
        """(n,) change for images at coordinates (n, r)."""
        return z @ self.u + self.shift


def margins(classifier: Classifier, features: Tensor) -> Tensor:
    """(n,) float64 margin of the second class over the first, 0 at the threshold, in nats after the temperature."""
    card = classifier.card
    with torch.no_grad():
        logits = classifier.body.head(features).double() / card.temperature
    own = logits[:, 1] - logits[:, 0]
    return own - threshold_margin(classifier)


def threshold_margin(classifier: Classifier) -> float:
    """The difference of the tempered logits at which the prediction changes."""
    # A calibration method may move it; it is monotonous in the difference, so halving finds it.
    low, high = -60.0, 60.0
    for _ in range(80):
        middle = (low + high) / 2
        logits = torch.tensor([[-middle / 2, middle / 2]], dtype=torch.float64) * classifier.card.temperature
        low, high = (low, middle) if int(classifier.decide(logits)[0]) == 1 else (middle, high)
    return (low + high) / 2


def step_for(moments: Moments, z: Tensor, residuals: Tensor, sources: NDArray[np.int64], weight: float) -> Step:
    """The step that brings new images to their wanted margins.

    Minimises the mean squared change of the margin of known images, by their second moments, plus ``weight`` times the
    mean squared error of each new source. It is recursive least squares (Plackett 1950, *Some theorems in least
    squares*), which needs no known image, only their moments.

    Parameters
    ----------
    z : (n, r) coordinates of the new images.
    residuals : (n,) wanted changes of the margin.
    sources : (n,) number of each image's new source, from 0.
    """
    r = z.shape[1]
    ones = torch.ones(len(z), 1, dtype=z.dtype)
    rows = torch.cat([z, ones], 1)
    known = torch.zeros(r + 1, r + 1, dtype=z.dtype)
    known[:r, :r] = moments.second + RIDGE * moments.second.diagonal().mean() * torch.eye(r, dtype=z.dtype)
    # The mean of the coordinates of known images: near 0, but not where sources were added.
    mean = (moments.means * (moments.counts / moments.counts.sum())[:, None]).sum(0)
    known[:r, r] = known[r, :r] = mean
    known[r, r] = 1 + RIDGE
    share = torch.from_numpy(weight / np.bincount(sources)[sources])
    system = known + (rows * share[:, None]).T @ rows
    solved = torch.linalg.solve(system, (rows * share[:, None]).T @ residuals)
    return Step(solved[:r], float(solved[r]))


def residuals(margin: Tensor, labels: NDArray[np.int64]) -> Tensor:
    """(n,) change to the wanted margin; 0 for an image that has it already."""
    side = torch.from_numpy(np.where(labels == 1, 1.0, -1.0))
    return side * (SURE - side * margin).clamp_min(0)


@dataclass(frozen=True, eq=False)
class Fold:
    """Cross-validated margins and distances of new images: each by a model that has not seen it."""

    weight: float
    margins: NDArray[np.float64]
    novelty: NDArray[np.float64]


def cross_validated(classifier: Classifier, new: Sequence[NewImages], folds: int = 5) -> Fold:
    """Margins and distances of the new images, in folds; inner folds choose the weight.

    Returns
    -------
    The figures, with the weight that all images choose.
    """
    score = _score(classifier)
    z, margin, labels, sources = _joined(classifier, score.space, new)
    fold = _folds(sources, folds)
    found, novelty = np.empty(len(z)), np.empty(len(z))
    every = torch.cat([part.features for part in new])
    for i in range(folds):
        out = fold == i
        if not out.any():
            continue
        weight = _chosen(score.moments, z[~out], margin[~out], labels[~out], sources[~out])
        step = step_for(score.moments, z[~out], residuals(margin[~out], labels[~out]), sources[~out], weight)
        found[out] = (margin[out] + step.of(z[out])).numpy()
        moments = _with_sources(score.moments, z[~out], sources[~out])
        with torch.no_grad():
            rows = every[torch.from_numpy(out)]
            logits = classifier.body.head(rows)
            novelty[out] = SourceDistance.of(score.space, moments)(rows, logits, logits.argmax(1)).numpy()
    return Fold(_chosen(score.moments, z, margin, labels, sources), found, novelty)


def with_sources(classifier: Classifier, new: Sequence[NewImages], weight: float) -> Classifier:
    """A classifier whose head and distances know the new sources; temperature, threshold and limits stay."""
    score = _score(classifier)
    space = score.space
    z, margin, labels, sources = _joined(classifier, space, new)
    step = step_for(score.moments, z, residuals(margin, labels), sources, weight)
    # The step is of the tempered margin, which is the difference of two logits.
    scaled = classifier.card.temperature * (space.basis.double() @ step.u) / space.unit.double()
    shift = classifier.card.temperature * step.shift - float(scaled @ space.centre.double())
    after = classifier.changed(novelty_score=SourceDistance.of(space, _with_sources(score.moments, z, sources)))
    head = copy.deepcopy(after.body.head)
    side = torch.tensor([-0.5, 0.5], dtype=torch.float64)
    with torch.no_grad():
        head.weight.copy_((head.weight.double() + side[:, None] * scaled).float())
        head.bias.copy_((head.bias.double() + side * shift).float())
    after.body.head.load_state_dict(head.state_dict())
    return after


def _score(classifier: Classifier) -> SourceDistance:
    assert isinstance(classifier.novelty_score, SourceDistance)
    return classifier.novelty_score


def _joined(
    classifier: Classifier, space: Space, new: Sequence[NewImages]
) -> tuple[Tensor, Tensor, NDArray[np.int64], NDArray[np.int64]]:
    """Coordinates, margins, labels and number of the source of all new images."""
    features = torch.cat([part.features for part in new])
    labels = np.concatenate([np.full(len(part.features), part.label) for part in new])
    sources = np.concatenate([np.full(len(part.features), i) for i, part in enumerate(new)])
    return space.inside(features), margins(classifier, features), labels, sources


def _with_sources(moments: Moments, z: Tensor, sources: NDArray[np.int64]) -> Moments:
    for number in np.unique(sources):
        moments = moments.with_source(z[torch.from_numpy(sources == number)])
    return moments


def _folds(sources: NDArray[np.int64], folds: int) -> NDArray[np.int64]:
    """(n,) the fold of each image; every fold has images of every source."""
    rng = np.random.default_rng(0)
    found = np.empty(len(sources), np.int64)
    for number in np.unique(sources):
        mine = np.flatnonzero(sources == number)
        found[mine] = rng.permutation(len(mine)) % folds
    return found


def _chosen(
    moments: Moments, z: Tensor, margin: Tensor, labels: NDArray[np.int64], sources: NDArray[np.int64]
) -> float:
    """The smallest weight whose cross-validated accuracy on the new images is within a point of the best."""
    fold = _folds(sources, 5)
    side = np.where(labels == 1, 1.0, -1.0)
    rates = []
    for weight in WEIGHTS:
        right = np.empty(len(z), bool)
        for i in range(5):
            out = fold == i
            step = step_for(moments, z[~out], residuals(margin[~out], labels[~out]), sources[~out], weight)
            right[out] = side[out] * (margin[out] + step.of(z[out])).numpy() > 0
        rates.append(float(np.mean([right[sources == number].mean() for number in np.unique(sources)])))
    return next(weight for weight, rate in zip(WEIGHTS, rates, strict=True) if rate >= max(rates) - 0.01)
