"""Heads on texture and CLIP features, alone, joined and stacked, for ``benchmarks.stacked_features``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.known_sources import CLASSES, FAMILIES, STRENGTHS, Cached, Mask, cached
from facevalue.models.calibration.temperature import fit_temperature

ONE = ("clip", "texture", "both")
WAYS = (*ONE, "average", "stacked", "stacked by family")
FOLDS = 5

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Faces:
    """All features, with the same images in each.

    Attributes
    ----------
    of : features by name.
    families : (n,) of each image.
    """

    of: Mapping[str, Cached]
    families: NDArray[np.str_]

    @classmethod
    def read(cls, folder: Path) -> Faces:
        found = {name: cached(folder, name) for name in ONE}
        families = np.array([FAMILIES.get(one, one) for one in found["clip"].source])
        return cls(found, families)

    @property
    def y(self) -> NDArray[np.int64]:
        return self.of["clip"].y

    def label(self, family: str) -> str:
        return CLASSES[int(self.y[self.families == family][0])]


Margins = Callable[[str, Mask], Floats]
"""From a version and a mask of images to their margins in nats: positive for photographs."""


@dataclass(frozen=True, eq=False)
class Head:
    """A linear head; its margins are in nats after the temperature.

    Attributes
    ----------
    slope, shift : (d,) and the margin at 0.
    strength : that validation chose.
    """

    slope: Tensor
    shift: float
    strength: float

    @classmethod
    def fitted(cls, data: Cached, train: Mask, held_out: Mask, strengths: tuple[float, ...] = STRENGTHS) -> Head:
        """The probe of the recipes by the squared loss, on the images as they are, from its normal equations.

        It is what ``fit_probe`` gives, ten times as fast. Strength and temperature are chosen on ``held_out``.
        """
        x, y = data.version("clean", train).double().numpy(), data.y[train]
        weights = len(y) / (2 * np.bincount(y)[y])
        mean, goal = weights @ x / len(y), 2.0 * y - 1
        even = (x - mean) * weights[:, None]
        gram, products = even.T @ (x - mean), even.T @ goal
        length = float(x.var(0).sum())
        z = data.version("clean", held_out).double().numpy()
        tried = []
        for strength in strengths:
            slope = np.linalg.solve(gram + length / strength * np.eye(len(gram)), products)
            shift = float(weights @ goal / len(y) - mean @ slope)
            margin = z @ slope + shift
            temperature = _temperature(margin, data.y[held_out])
            losses = np.logaddexp(0, -(2 * data.y[held_out] - 1) * margin / temperature)
            tried.append((losses, strength, slope / temperature, shift / temperature))
        lowest = min((losses for losses, *_ in tried), key=np.mean)
        limit = lowest.mean() + max(lowest.std() / np.sqrt(len(lowest)), 1 / len(lowest))
        _, strength, slope, shift = next(one for one in tried if one[0].mean() <= limit)
        return cls(torch.from_numpy(slope), shift, strength)

    def on(self, data: Cached) -> Margins:
        """Its margins on these features."""
        return lambda version, rows: (data.version(version, rows).double() @ self.slope + self.shift).numpy()


def ways_of(faces: Faces, masks: Mapping[str, Mask], seed: int, by_family: bool = True) -> dict[str, Margins]:
    """The margins of each way, for heads that learn from ``train`` and are calibrated on ``held out``."""
    train, held_out = masks["train"], masks["held out"]
    heads = {name: Head.fitted(faces.of[name], train, held_out) for name in ONE}
    found: dict[str, Margins] = {name: head.on(faces.of[name]) for name, head in heads.items()}
    two = (found["clip"], found["texture"])
    found["average"] = lambda version, rows: (two[0](version, rows) + two[1](version, rows)) / 2
    rng = np.random.default_rng(seed)
    folds = {"stacked": rng.permutation(len(faces.y)) % FOLDS}
    if by_family:  # takes three times as long as all others
        folds["stacked by family"] = np.unique(faces.families, return_inverse=True)[1]
    for name, fold in folds.items():
        unseen = _cross_fitted(faces, masks, heads, fold)
        found[name] = _stacked(unseen, two, faces.y, train, held_out)
    return found


def _cross_fitted(
    faces: Faces, masks: Mapping[str, Mask], heads: Mapping[str, Head], fold: NDArray[np.int64]
) -> Floats:
    """(m, 2) margins of the training images by CLIP and by texture, of heads that have not learned from their fold."""
    train = masks["train"]
    unseen = np.zeros((len(faces.y), 2))
    for number in sorted(set(fold[train])):
        mine, others = train & (fold == number), train & (fold != number)
        for i, name in enumerate(("clip", "texture")):
            head = Head.fitted(faces.of[name], others, masks["held out"], (heads[name].strength,))
            unseen[mine, i] = head.on(faces.of[name])("clean", mine)
    return unseen[train]


def _stacked(
    unseen: Floats, two: tuple[Margins, Margins], y: NDArray[np.int64], train: Mask, held_out: Mask
) -> Margins:
    """Logistic regression on the margins of two heads, calibrated by a temperature."""
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(class_weight="balanced").fit(unseen, y[train])

    def raw(version: str, rows: Mask) -> Floats:
        scores: Floats = fitted.decision_function(np.stack([head(version, rows) for head in two], 1))
        return scores

    temperature = _temperature(raw("clean", held_out), y[held_out])
    return lambda version, rows: raw(version, rows) / temperature


def _temperature(margin: Floats, y: NDArray[np.int64]) -> float:
    half = torch.from_numpy(margin) / 2
    return float(fit_temperature(torch.stack([-half, half], 1), y))
