"""What a head may learn from: features of images, of their quarters, and of changed copies of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facevalue.data.dataset import ImageDataset
from facevalue.errors import UsageError
from facevalue.models.classifier import Classifier
from facevalue.models.features import Change, Extractor, to_pixels
from facevalue.training.augmentation import augment
from facevalue.training.probe import Differences
from facevalue.training.recipe import Recipe
from facevalue.training.samples import sample, with_masks
from facevalue.training.settings import ProbeSettings


@dataclass(frozen=True)
class Examples:
    """Features (n, d) and labels (n,).

    Attributes
    ----------
    quarters : (n, 4, d) of the images' quarters, if asked for.
    copies : (m, d) of changed copies, which are to score as what they are copies of.
    originals : (m,) the places of what they are copies of.
    """

    x: Tensor
    y: NDArray[np.int64]
    quarters: Tensor | None = None
    copies: Tensor | None = None
    originals: Tensor | None = None

    @classmethod
    def of(cls, features: Tensor, labels: NDArray[np.int64]) -> Examples:
        """Of (n, d) features, or (n, 5, d) with their quarters'."""
        if features.ndim == 2:
            return cls(features, labels)
        return cls(features[:, 0], labels, features[:, 1:])

    def and_also(self, *others: Examples) -> Examples:
        """These, then others that have no copies."""
        if not others:
            return self
        parts = (self, *others)
        quarters = [part.quarters for part in parts if part.quarters is not None]
        return replace(
            self,
            x=torch.cat([part.x for part in parts]),
            y=np.concatenate([part.y for part in parts]),
            quarters=torch.cat(quarters) if quarters else None,
        )

    def differences(self, settings: ProbeSettings) -> list[Differences]:
        """What is to make no difference to scores."""
        found = []
        if settings.quarter_consistency and self.quarters is not None:
            found.append(Differences.between_quarters(self.quarters, settings.quarter_consistency))
        if settings.copy_consistency and self.copies is not None and self.originals is not None:
            found.append(Differences(self.copies - self.x[self.originals], settings.copy_consistency))
        return found


def examples_of(classifier: Classifier, splits: Mapping[str, ImageDataset], recipe: Recipe) -> dict[str, Examples]:
    """Of every split; those of ``train`` with the changed copies that the recipe asks for.

    Raises
    ------
    UsageError
        ``probe.quarter_consistency``, and the network's maps have no quarters.
    """
    settings = recipe.probe
    if settings.quarter_consistency:
        size = classifier.card.preprocessing.size
        try:
            classifier.features_of_quarters(torch.zeros(1, 3, size, size))
        except ValueError as error:
            raise UsageError(
                f"probe.quarter_consistency is not for {recipe.network.name} at {size} pixels: {error}"
            ) from error
    plain = Extractor(classifier)
    extractor = Extractor(classifier, quarters=True) if settings.quarter_consistency else plain
    learned = {"train", "validation", "calibration"} if recipe.refit else {"train"}
    found = {
        name: Examples.of((extractor if name in learned else plain).features(images), images.labels)
        for name, images in splits.items()
    }
    train = splits["train"]
    copies = list(_copies(plain if settings.copy_consistency else extractor, train, recipe))
    if settings.copy_consistency:
        found["train"] = replace(
            found["train"],
            copies=torch.cat([features for _, features in copies]),
            originals=torch.from_numpy(np.concatenate([places for places, _ in copies])),
        )
    else:
        lessons = [Examples.of(features, train.labels[places]) for places, features in copies]
        found["train"] = found["train"].and_also(*lessons)
    return found


def _copies(extractor: Extractor, train: ImageDataset, recipe: Recipe) -> Iterator[tuple[NDArray[np.int64], Tensor]]:
    """Round by round the places of the images that are copied, and features of the copies, changed as it says."""
    rounds = math.ceil(recipe.probe.copies)
    if not rounds:
        return
    masks = with_masks(sample(train)).masks if recipe.augment.background else None

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
