"""Each source left out in turn: the head of a probe is trained again without it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from facevalue.data.dataset import ImageDataset, dataset_of
from facevalue.data.families import By, left_out_by
from facevalue.data.manifest import Manifest
from facevalue.errors import DataError, UsageError
from facevalue.evidence.card import ModelCard
from facevalue.models.calibration.temperature import fit_temperature
from facevalue.models.classifier import Classifier
from facevalue.models.features import Extractor, Features
from facevalue.training.probe import fit_probe, refit
from facevalue.training.probe_features import differences, probe_features
from facevalue.training.recipe import Recipe
from facevalue.training.source_controls import LEARNED

Masks = Mapping[str, NDArray[np.bool_]]


def recipe_of_probe(card: ModelCard) -> Recipe:
    """The recipe of a probe.

    Raises
    ------
    UsageError
        The model is no probe, or was made in a way that a new head alone cannot repeat.
    """
    plain = card.recipe
    if plain.get("method") != "probe" or {"finetune", "members"} & plain.keys():
        raise UsageError(
            "`leave_out` trains the head again, and only a probe is its head alone: the network of this model "
            f"(method {plain.get('method')!r}) has learned from every source; train a probe, or train without "
            "the source and evaluate on it"
        )
    try:
        recipe = msgspec.convert({key: plain[key] for key in Recipe.__struct_fields__ if key in plain}, Recipe)
    except msgspec.ValidationError as error:
        raise UsageError(f"`leave_out`: the recipe on the card cannot be repeated by this version: {error}") from error
    if recipe.probe.copies and not recipe.probe.copy_consistency:
        raise UsageError(
            "`leave_out` cannot repeat a probe that learned from augmented copies as further images (`probe.copies`)"
        )
    return recipe


@dataclass(frozen=True, eq=False)
class OwnImages:
    """The images that a probe learned from, with their features.

    Attributes
    ----------
    datasets, parts : ``train``, ``validation`` and ``calibration``, and their features.
    """

    classifier: Classifier
    recipe: Recipe
    datasets: Mapping[str, ImageDataset]
    parts: Mapping[str, Features]

    @classmethod
    def of(cls, classifier: Classifier, recipe: Recipe, manifest: Manifest) -> OwnImages:
        """Compute the features of the model's own images, as its training did."""
        card = classifier.card
        datasets = {name: dataset_of(manifest, card.preprocessing, card.classes, name) for name in LEARNED}
        return cls(classifier, recipe, datasets, probe_features(classifier, datasets, recipe, Extractor(classifier)))

    def sources(self, by: By) -> dict[str, NDArray[np.object_]]:
        """(n,) the source or family of each image, by split; "" where it is not known.

        Raises
        ------
        UsageError
            No image has one, so none could be left out.
        """
        rows = pd.concat([self.datasets[name].rows for name in LEARNED], ignore_index=True)
        found = left_out_by(rows, by)
        if not found:
            raise UsageError(
                f"`leave_out` {by}: the model's own images have none, so none can be left out; train it on images with "
                f"a column {by!r}, or with a folder a source below each class"
            )
        ends = np.cumsum([len(self.datasets[name]) for name in LEARNED])[:-1]
        return dict(zip(LEARNED, np.split(np.array(found, object), ends), strict=True))

    def complete(self, kept: Masks) -> bool:
        """Whether every split still has images of every class."""
        classes = len(self.classifier.card.classes)
        return all(len(np.unique(self.parts[name].y[: len(kept[name])][kept[name]])) == classes for name in LEARNED)

    def probabilities(self, asked: Sequence[Tensor], kept: Masks, seed: int | None) -> list[NDArray[np.float64]]:
        """(n, k) probabilities of each of the features asked, by a head that learned from the images kept.

        The temperature is fitted again. Novelty and the limits of abstention are not used.

        Parameters
        ----------
        kept : (n,) by split.
        seed : deals the images kept to training, validation and calibration anew, by group and class, in the shares
            that they have; ``None`` for the model's own splits.
        """
        chosen = {name: _rows(self.parts[name], np.flatnonzero(kept[name])) for name in LEARNED}
        if seed is not None:
            chosen = self._dealt(chosen, kept, seed)
        classes = len(self.classifier.card.classes)
        for name, part in chosen.items():
            if len(np.unique(part.y)) < classes:
                raise DataError(f"without the source left out, a class has no {name} image")
        recipe, kinds = self.recipe, self.classifier.body.kinds
        balanced = recipe.fit.class_weights == "balanced"
        train, validation, held = (chosen[name] for name in LEARNED)
        probe = fit_probe(
            (train.x, train.y),
            (validation.x, validation.y),
            classes,
            recipe.probe,
            balanced,
            kinds,
            differences(train, recipe.probe),
        )
        temperature = fit_temperature((held.x @ probe.weight.T + probe.bias).double(), held.y)
        if recipe.refit:
            every = train.joined(validation, held)
            probe = refit(probe, every.x, every.y, recipe.probe, balanced, kinds, differences(every, recipe.probe))
        return [torch.softmax((x @ probe.weight.T + probe.bias).double() / temperature, 1).numpy() for x in asked]

    def _dealt(self, chosen: Mapping[str, Features], kept: Masks, seed: int) -> dict[str, Features]:
        if any(part.changes is not None for part in chosen.values()):
            raise UsageError("`seeds`: only one seed is possible for a probe with `probe.copy_consistency`")
        sizes = [len(chosen[name]) for name in LEARNED]
        every = _together([chosen[name] for name in LEARNED])
        names = [
            str(group) or f"{name} {i}"
            for name in LEARNED
            for i, group in enumerate(self.datasets[name].rows["group"][kept[name]])
        ]
        _, group = np.unique(names, return_inverse=True)
        # The class of a group, so that every part gets images of every class.
        label = np.zeros(int(group.max()) + 1, np.int64)
        label[group] = every.y
        rng = np.random.default_rng(seed)
        part_of = np.zeros(len(label), np.int64)
        shares = np.cumsum([0, *sizes[1:]]) / sum(sizes)
        for c in np.unique(label):
            order = rng.permutation(np.flatnonzero(label == c))
            first, second = (max(i + 1, round(share * len(order))) for i, share in enumerate(shares[1:]))
            part_of[order[:first]], part_of[order[first:second]] = 1, 2
        return {name: _rows(every, np.flatnonzero(part_of[group] == i)) for i, name in enumerate(LEARNED)}


def _together(parts: Sequence[Features]) -> Features:
    """One table; contrasts only if all parts have them."""
    contrasts = [part.contrasts for part in parts]
    known = [c for c in contrasts if c is not None]
    return Features(
        torch.cat([part.x for part in parts]),
        np.concatenate([part.y for part in parts]),
        torch.cat(known) if len(known) == len(parts) else None,
    )


def _rows(features: Features, places: NDArray[np.int64]) -> Features:
    """The features of some images, with their contrasts and the changes of their copies."""
    at = torch.from_numpy(places)
    contrasts = None if features.contrasts is None else features.contrasts[at]
    found = Features(features.x[at], features.y[places], contrasts)
    if features.changes is None or features.originals is None:
        return found
    new = torch.full((len(features.x),), -1, dtype=torch.int64)
    new[at] = torch.arange(len(places))
    originals = new[features.originals]
    return replace(found, changes=features.changes[originals >= 0], originals=originals[originals >= 0])
