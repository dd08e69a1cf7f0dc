"""Changes a two-class head for the images of a new source, as little as possible for the images already known."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

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
class Reach:
    """How changes for new images spread: a step is ``spread @ a`` for one number ``a`` per new image.

    Attributes
    ----------
    spread : (r + 1, n) change of the margin's slope and shift for each new image.
    gram : (n, n) change of each new image's margin for each.
    """

    spread: Tensor
    gram: Tensor

    @classmethod
    def of(cls, moments: Moments, z: Tensor) -> Reach:
        """For new images at coordinates (n, r), with the metric of the images that ``moments`` are of."""
        r = z.shape[1]
        known = torch.zeros(r + 1, r + 1, dtype=z.dtype)
        second = moments.second
        known[:r, :r] = second + RIDGE * second.diagonal().mean() * torch.eye(r, dtype=z.dtype)
        # The mean of the coordinates: 0 for the images of the training, but not after sources were added.
        mean = (moments.means * (moments.counts / moments.counts.sum())[:, None]).sum(0)
        known[:r, r] = known[r, :r] = mean
        known[r, r] = 1 + RIDGE
        rows = torch.cat([z, torch.ones(len(z), 1, dtype=z.dtype)], 1)
        spread = torch.linalg.solve(known, rows.T)
        return cls(spread, rows @ spread)

    def amounts(self, rows: NDArray[np.bool_], residuals: Tensor, sources: NDArray[np.int64], weight: float) -> Tensor:
        """(m,) amounts for the chosen images, that bring them to their wanted margins.

        They minimise the mean squared change of the margin of known images, by their second moments, plus ``weight``
        times the mean squared error of each new source. It is recursive least squares (Plackett 1950, *Some theorems
        in least squares*), which needs no known image.

        Parameters
        ----------
        rows : (n,) the chosen images.
        residuals : (m,) wanted changes of their margins.
        sources : (n,) number of each image's new source, from 0.
        """
        chosen = torch.from_numpy(rows)
        size = np.bincount(sources[rows])[sources[rows]]
        penalty = torch.from_numpy(size / weight)
        amounts: Tensor = torch.linalg.solve(self.gram[chosen][:, chosen] + torch.diag(penalty), residuals)
        return amounts

    def changes(self, rows: NDArray[np.bool_], amounts: Tensor) -> Tensor:
        """(n,) change of every new image's margin, for amounts of the chosen ones."""
        changes: Tensor = self.gram[:, torch.from_numpy(rows)] @ amounts
        return changes


def margins(classifier: Classifier, features: Tensor) -> Tensor:
    """(n,) float64 margin of the second class over the first, 0 at the threshold, in nats after the temperature."""
    card = classifier.card
    with torch.no_grad():
        logits = classifier.body.head(features).double() / card.temperature
    own: Tensor = logits[:, 1] - logits[:, 0] - threshold_margin(classifier)
    return own


def threshold_margin(classifier: Classifier) -> float:
    """The difference of the tempered logits at which the prediction changes."""
    # A calibration method may move it; it is monotonous in the difference, so halving finds it.
    low, high = -60.0, 60.0
    for _ in range(80):
        middle = (low + high) / 2
        logits = torch.tensor([[-middle / 2, middle / 2]], dtype=torch.float64) * classifier.card.temperature
        low, high = (low, middle) if int(classifier.decide(logits)[0]) == 1 else (middle, high)
    return (low + high) / 2


def residuals(margin: Tensor, labels: NDArray[np.int64]) -> Tensor:
    """(n,) change to the wanted margin; 0 for an image that has it already."""
    side = torch.from_numpy(np.where(labels == 1, 1.0, -1.0))
    wanted: Tensor = side * (SURE - side * margin).clamp_min(0)
    return wanted


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
    reach, wanted = Reach.of(score.moments, z), residuals(margin, labels)
    found, novelty = np.empty(len(z)), np.empty(len(z))
    every = torch.cat([part.features for part in new])
    of_class = _with_classes(score.of_class, new)
    for i in range(folds):
        out = fold == i
        if not out.any():
            continue
        weight = _chosen(reach, margin, labels, sources, ~out)
        changes = reach.changes(~out, reach.amounts(~out, wanted[torch.from_numpy(~out)], sources, weight))
        found[out] = (margin + changes).numpy()[out]
        decided = (found >= 0).astype(np.int64)
        moments = _with_sources(score.moments, z[torch.from_numpy(~out)], sources[~out])
        with torch.no_grad():
            rows = every[torch.from_numpy(out)]
            logits = classifier.body.head(rows)
            novelty[out] = SourceDistance.of(score.space, moments, of_class)(
                rows, logits, torch.from_numpy(decided[out])
            ).numpy()
    return Fold(_chosen(reach, margin, labels, sources, np.ones(len(z), bool)), found, novelty)


def with_sources(classifier: Classifier, new: Sequence[NewImages], weight: float) -> Classifier:
    """A classifier whose head and distances know the new sources; temperature, threshold and limits stay."""
    score = _score(classifier)
    space = score.space
    z, margin, labels, sources = _joined(classifier, space, new)
    reach = Reach.of(score.moments, z)
    step = reach.spread @ reach.amounts(np.ones(len(z), bool), residuals(margin, labels), sources, weight)
    # The step is of the tempered margin, which is the difference of two logits.
    scaled = classifier.card.temperature * (space.basis.double() @ step[:-1]) / space.unit.double()
    shift = classifier.card.temperature * float(step[-1]) - float(scaled @ space.centre.double())
    after = classifier.changed(
        novelty_score=SourceDistance.of(
            space, _with_sources(score.moments, z, sources), _with_classes(score.of_class, new)
        )
    )
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


def _with_classes(of_class: Tensor, new: Sequence[NewImages]) -> Tensor:
    """(k, s) with one more column for each new source."""
    labels = torch.tensor([part.label for part in new])
    return torch.cat([of_class, nn.functional.one_hot(labels, len(of_class)).T.to(of_class.dtype)], 1)


def _folds(sources: NDArray[np.int64], folds: int) -> NDArray[np.int64]:
    """(n,) the fold of each image; every fold has images of every source."""
    rng = np.random.default_rng(0)
    found = np.empty(len(sources), np.int64)
    for number in np.unique(sources):
        mine = np.flatnonzero(sources == number)
        found[mine] = rng.permutation(len(mine)) % folds
    return found


def _chosen(
    reach: Reach, margin: Tensor, labels: NDArray[np.int64], sources: NDArray[np.int64], rows: NDArray[np.bool_]
) -> float:
    """The smallest weight whose cross-validated accuracy on the chosen images is within a point of the best."""
    fold = np.full(len(labels), -1)
    fold[rows] = _folds(sources[rows], 5)
    side = np.where(labels == 1, 1.0, -1.0)
    wanted = residuals(margin, labels)
    rates = []
    for weight in WEIGHTS:
        right = np.zeros(len(labels), bool)
        for i in range(5):
            out, used = fold == i, rows & (fold != i)
            changes = reach.changes(used, reach.amounts(used, wanted[torch.from_numpy(used)], sources, weight))
            right[out] = (side * (margin + changes).numpy() > 0)[out]
        rates.append(float(np.mean([right[rows & (sources == number)].mean() for number in np.unique(sources)])))
    return next(weight for weight, rate in zip(WEIGHTS, rates, strict=True) if rate >= max(rates) - 0.01)
