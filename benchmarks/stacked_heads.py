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
from facevalue.training.probe import fit_probe
from facevalue.training.settings import ProbeSettings

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
        """By the squared loss on the images as they are; strength and temperature are chosen on ``held_out``."""
        parts = [(data.version("clean", rows), data.y[rows]) for rows in (train, held_out)]
        probe = fit_probe(parts[0], parts[1], 2, ProbeSettings(loss="squared", strengths=strengths), balanced=True)
        slope, shift = probe.weight[1] - probe.weight[0], float(probe.bias[1] - probe.bias[0])
        temperature = _temperature((parts[1][0] @ slope + shift).double().numpy(), parts[1][1])
        return cls(slope / temperature, shift / temperature, probe.strength)

    def on(self, data: Cached) -> Margins:
        """Its margins on these features."""
        return lambda version, rows: (data.version(version, rows) @ self.slope + self.shift).double().numpy()


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
