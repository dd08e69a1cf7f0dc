"""Training features of a probe: of images, of their quarters, and of augmented copies."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from facevalue.data.dataset import ImageDataset
from facevalue.errors import UsageError
from facevalue.evidence.findings import say
from facevalue.models.classifier import Classifier
from facevalue.models.features import Change, Extractor, Features, to_pixels
from facevalue.support import machine
from facevalue.training.augmentation import augment
from facevalue.training.consistent_fit import Differences
from facevalue.training.foreground import foreground_of
from facevalue.training.probe_memory import bytes_needed, short_memory
from facevalue.training.recipe import Recipe
from facevalue.training.settings import ProbeSettings


def differences(features: Features, settings: ProbeSettings) -> list[Differences]:
    """The feature differences that the recipe penalises for changing the scores."""
    found = []
    if settings.quarter_consistency and features.contrasts is not None:
        # The weight is for the four quarters together.
        found.append(Differences(features.contrasts, settings.quarter_consistency / 4))
    if settings.copy_consistency and features.changes is not None:
        found.append(Differences(features.changes, settings.copy_consistency))
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
            with torch.inference_mode():  # else every map is kept for a gradient
                classifier.features_of_quarters(torch.zeros(1, 3, size, size))
        except ValueError as error:
            raise UsageError(
                f"probe.quarter_consistency cannot be used with {recipe.network.name} at {size} pixels: {error}"
            ) from error
    d = classifier.body.head.in_features
    say(short_memory(bytes_needed(d, {name: len(part) for name, part in splits.items()}, recipe)))
    extractor = Extractor(classifier, quarters=True) if settings.quarter_consistency else plain
    learned = [name for name in ("train", "validation", "calibration") if name in splits and _is_learned(name, recipe)]
    # One tensor, so that a fit on all of them needs no copy.
    n = sum(len(splits[name]) for name in learned)
    room = torch.from_numpy(machine.large_array((n, 4, d) if settings.quarter_consistency else (n, d), np.float32))
    start, found = 0, dict[str, Features]()
    for name in learned:
        end = start + len(splits[name])
        found[name] = extractor.of(splits[name], into=room[start:end])
        start = end
    train = splits["train"]
    if not settings.copy_consistency:
        found["train"] = found["train"].joined(*(copies for _, copies in _copies(extractor, train, recipe)))
    # An engine of images and quarters holds about a gigabyte; the next one needs some of that.
    del extractor
    machine.trim_memory()
    found |= {name: plain.of(dataset) for name, dataset in splits.items() if name not in found}
    if settings.copy_consistency:
        changes, originals = [], []
        for places, copies in _copies(plain, train, recipe):
            for row, place in zip(copies.x, places, strict=True):  # in place: there may be gigabytes of them
                row -= found["train"].x[place]
            changes.append(copies.x)
            originals.append(torch.from_numpy(places))
        changed = changes[0] if len(changes) == 1 else torch.cat(changes)
        found["train"] = replace(found["train"], changes=changed, originals=torch.cat(originals))
    return {name: found[name] for name in splits}


def _is_learned(split: str, recipe: Recipe) -> bool:
    return split == "train" or recipe.refit


def _copies(extractor: Extractor, train: ImageDataset, recipe: Recipe) -> Iterator[tuple[NDArray[np.int64], Features]]:
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
        yield places, extractor.of(train.take(places), what, changed(number, places))
