"""The choice of a calibration method by cross-validation on the calibration images."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from facevalue.evaluation.calibration_set import Rows
from facevalue.models import calibration
from facevalue.models.calibration import Parameters
from facevalue.models.calibration.base import SMALLEST
from facevalue.models.calibration.temperature import fit_temperature

FOLDS = 5
MARGIN = 2.0
"""A method replaces temperature only if its log loss is lower by this many standard errors."""


@dataclass(frozen=True)
class Fitted:
    """A temperature, and a method fitted on the tempered logits."""

    temperature: float
    method: str
    parameters: Parameters

    @classmethod
    def on(cls, rows: Rows, method: str) -> Fitted:
        """Fitted on these rows."""
        temperature = fit_temperature(torch.from_numpy(rows.logits), rows.labels, rows.weights)
        parameters = calibration.find(method).fit(rows.logits / temperature, rows.labels, rows.weights)
        return cls(temperature, method, parameters)

    def probabilities(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, k) probabilities from logits (n, k)."""
        z = torch.from_numpy(logits) / self.temperature
        found: NDArray[np.float64] = calibration.find(self.method).probabilities(z, self.parameters).numpy()
        return found


def applicable(classes: int) -> tuple[str, ...]:
    """Names of the methods for this number of classes; temperature is the first."""
    return tuple(name for name, method in calibration.METHODS.items() if classes == 2 or not method.two_classes)


def cross_validated(rows: Rows, methods: Iterable[str]) -> dict[str, NDArray[np.float64]]:
    """For each method, (m, k) probabilities of every row by a fit without the row's group."""
    fold = folds_of(rows)
    found = {name: np.empty_like(rows.logits) for name in methods}
    for part in np.unique(fold):
        inside = fold == part
        fitted_on = rows.take(~inside)
        for name, p in found.items():
            p[inside] = Fitted.on(fitted_on, name).probabilities(rows.logits[inside])
    return found


def folds_of(rows: Rows, folds: int = FOLDS) -> NDArray[np.int64]:
    """(m,) fold of each row: a group, with all its images and their damaged copies, is in one fold.

    Folds have about equal shares of the classes. With fewer than ``folds`` groups in a class, some lack this class.
    """
    groups = rows.groups if len(np.unique(rows.groups)) > 1 else rows.images
    names, number, size = np.unique(groups, return_inverse=True, return_counts=True)
    # The class that most of a group's images have.
    label = np.array([np.bincount(rows.labels[number == i]).argmax() for i in range(len(names))])
    place = np.empty(len(names), np.int64)
    order = np.random.default_rng(0).permutation(len(names))
    start = 0
    for c in np.unique(label):
        filled = np.zeros(min(folds, len(names)), np.int64)
        for group in sorted(order[label[order] == c], key=lambda g: -size[g]):
            # The emptiest fold; of several the next one, so that classes with few groups do not all begin in the first.
            place[group] = min(range(len(filled)), key=lambda f: (filled[f], (f - start) % len(filled)))
            filled[place[group]] += size[group]
            start += 1
    return place[number]


def losses(rows: Rows, p: NDArray[np.float64]) -> NDArray[np.float64]:
    """(m,) log loss of each row in nats."""
    loss: NDArray[np.float64] = -np.log(np.clip(p[np.arange(len(rows)), rows.labels], SMALLEST, 1))
    return loss


def chosen(rows: Rows, methods: Iterable[str]) -> tuple[str, dict[str, float]]:
    """The method with the lowest cross-validated log loss, and the log loss of all.

    Temperature stays unless a method beats it by :data:`MARGIN` standard errors of the difference, and by more than
    1/n nats. The standard error counts groups, not images: images of one group are alike.

    Parameters
    ----------
    methods : names; the first is kept unless it is beaten.
    """
    names = list(methods)
    found = {name: losses(rows, p) for name, p in cross_validated(rows, names).items()}
    weight = rows.weights / rows.weights.sum()
    mean = {name: float(weight @ loss) for name, loss in found.items()}
    best = min(names, key=lambda name: mean[name])
    gain = found[names[0]] - found[best]
    by_group = np.bincount(rows.groups, weight * (gain - weight @ gain))
    error = float(np.sqrt(np.square(by_group).sum()))
    n = rows.weights.sum()
    beaten = mean[names[0]] - mean[best] > max(MARGIN * error, 1 / n)
    return (best if beaten else names[0]), mean
