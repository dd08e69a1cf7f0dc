"""The images that a model is calibrated on: as they are, and after everyday damage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from facevalue.models.classifier import Classifier
from facevalue.models.features import Features

ORIGINAL = "original"
"""Name of the condition without damage."""


@dataclass(frozen=True, eq=False)
class Condition:
    """Calibration images under one condition: ``original``, or one kind of damage.

    Attributes
    ----------
    name : of the condition.
    places : (m,) position of each image among the calibration images.
    features : of these images, with their labels.
    """

    name: str
    places: NDArray[np.int64]
    features: Features


@dataclass(frozen=True, eq=False)
class CalibrationSet:
    """Features of the calibration split.

    Attributes
    ----------
    images : as they are.
    damaged : some or all of them after everyday damage.
    groups : (n,) group of each image; "" where it is its own. Empty where no groups are known.
    sources : (n,) where each image is from; "" where it is not known. Empty where no sources are known.
    detail, jpeg_quality : (n,) of each image, see :mod:`facevalue.data.input_facts`. Empty where they are not known.
    """

    images: Features
    damaged: tuple[Condition, ...] = ()
    groups: Sequence[str] = ()
    sources: Sequence[str] = ()
    detail: Sequence[float] = ()
    jpeg_quality: Sequence[float] = ()

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """The images as they are, then under each kind of damage."""
        return (Condition(ORIGINAL, np.arange(len(self.images)), self.images), *self.damaged)

    @property
    def counts(self) -> dict[str, int]:
        """Number of images by condition."""
        return {condition.name: len(condition.places) for condition in self.conditions}

    @cached_property
    def groups_of_images(self) -> NDArray[np.int64]:
        """(n,) number of each image's group, from 0."""
        return group_numbers(self.groups, len(self.images))

    def rows(self, classifier: Classifier) -> Rows:
        """The logits of all conditions below each other."""
        parts = self.conditions
        n = len(self.images)
        return Rows(
            logits=np.concatenate([part.features.logits(classifier).double().numpy() for part in parts]),
            labels=np.concatenate([part.features.y for part in parts]),
            images=np.concatenate([part.places for part in parts]),
            groups=np.concatenate([self.groups_of_images[part.places] for part in parts]),
            conditions=np.repeat(np.arange(len(parts)), [len(part.places) for part in parts]),
            weights=np.concatenate([np.full(len(p.places), n / len(parts) / len(p.places)) for p in parts]),
            names=tuple(part.name for part in parts),
        )


@dataclass(frozen=True, eq=False)
class Rows:
    """Logits of calibration images under all conditions, one row per image and condition.

    Attributes
    ----------
    logits : (m, k) of the network, before the temperature.
    labels : (m,) true classes.
    images, groups : (m,) number of the image, and of its group.
    conditions : (m,) index into ``names``.
    weights : (m,) in a fit: each condition counts the same, and all together as much as the images.
    names : of the conditions.
    """

    logits: NDArray[np.float64]
    labels: NDArray[np.int64]
    images: NDArray[np.int64]
    groups: NDArray[np.int64]
    conditions: NDArray[np.int64]
    weights: NDArray[np.float64]
    names: tuple[str, ...] = field(default=(ORIGINAL,))

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, mask: NDArray[np.bool_]) -> Rows:
        """The rows where ``mask`` (m,) is true."""
        return replace(
            self,
            logits=self.logits[mask],
            labels=self.labels[mask],
            images=self.images[mask],
            groups=self.groups[mask],
            conditions=self.conditions[mask],
            weights=self.weights[mask],
        )


def group_numbers(groups: Sequence[str], n: int) -> NDArray[np.int64]:
    """(n,) number of each image's group, from 0; an image without a group name is its own.

    >>> group_numbers(["a", "", "a", ""], 4).tolist()
    [2, 0, 2, 1]
    """
    if not len(groups):
        return np.arange(n)
    names = [f"group {name}" if name else f"alone {i:012d}" for i, name in enumerate(groups)]
    return np.unique(names, return_inverse=True)[1].astype(np.int64)
