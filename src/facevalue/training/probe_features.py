"""Training features of a probe: of images, of their quarters, and of augmented copies."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facevalue.data.dataset import ImageDataset
from facevalue.errors import UsageError
from facevalue.models.classifier import Classifier
from facevalue.models.features import Change, Extractor, Features, to_pixels
from facevalue.training.augmentation import augment
from facevalue.training.foreground import foreground_of
from facevalue.training.probe import Differences
from facevalue.training.recipe import Recipe
from facevalue.training.settings import ProbeSettings


def differences(features: Features, settings: ProbeSettings) -> list[Differences]:
    """The feature differences that the recipe penalises for changing the scores."""
    found = []
    if settings.quarter_consistency and features.quarters is not None:
        found.append(Differences.between_quarters(features.quarters, settings.quarter_consistency))
    if settings.copy_consistency and features.copies is not None and features.originals is not None:
        found.append(Differences(features.copies - features.x[features.originals], settings.copy_consistency))
    return found


def probe_features(
    classifier: Classifier, splits: Mapping[str, ImageDataset], recipe: Recipe, plain: Extractor
) -> dict[str, Features]:
    """Features of every split; those of ``train`` include the augmented copies of the recipe.

    Parameters
    ----------
    plain : extractor of the classifier, without quarters.

    Raises
    ------
    UsageError
        ``probe.quarter_consistency`` is set, and the network has no features of quarters.
    """
    settings = recipe.probe
    if settings.quarter_consistency:
        size = classifier.card.preprocessing.size
        try:
            classifier.features_of_quarters(torch.zeros(1, 3, size, size))
        except ValueError as error:
            raise UsageError(
                f"probe.quarter_consistency cannot be used with {recipe.network.name} at {size} pixels: {error}"
            ) from error
    extractor = Extractor(classifier, quarters=True) if settings.quarter_consistency else plain
    learned = {"train", "validation", "calibration"} if recipe.refit else {"train"}
    found = {name: (extractor if name in learned else plain).of(dataset) for name, dataset in splits.items()}
    train = splits["train"]
    copies = list(_copies(plain if settings.copy_consistency else extractor, train, recipe))
    if settings.copy_consistency:
        found["train"] = replace(
            found["train"],
            copies=torch.cat([features for _, features in copies]),
            originals=torch.from_numpy(np.concatenate([places for places, _ in copies])),
        )
    else:
        learned_copies = [_with_labels(features, train.labels[places]) for places, features in copies]
        found["train"] = found["train"].joined(*learned_copies)
    return found


def _copies(extractor: Extractor, train: ImageDataset, recipe: Recipe) -> Iterator[tuple[NDArray[np.int64], Tensor]]:
    """For each round: the positions of the copied images, and the features of their augmented copies."""
    rounds = math.ceil(recipe.probe.copies)
    if not rounds:
        return
    masks = foreground_of(train) if recipe.augment.background else None

    def changed(number: int, places: NDArray[np.int64]) -> Change:
        def change(pixels: NDArray[np.uint8], taken: NDArray[np.int64]) -> NDArray[np.uint8]:
            return to_pixels(augment(pixels, recipe.augment, recipe.seed, number, places[taken], masks))

        return change

    for number in range(rounds):
        share = min(1.0, recipe.probe.copies - number)
        rng = np.random.default_rng((recipe.seed, number))
        places = np.sort(rng.permutation(len(train))[: max(1, round(share * len(train)))])
        what = f"computing changed copy {number + 1} of {rounds}"
        yield places, extractor.features(train.take(places), what, changed(number, places))


def _with_labels(x: Tensor, labels: NDArray[np.int64]) -> Features:
    """Features from (n, d), or from (n, 5, d) with those of the quarters."""
    return Features(x, labels) if x.ndim == 2 else Features(x[:, 0], labels, x[:, 1:])
