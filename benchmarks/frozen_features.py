"""Features of the measuring sets from one frozen backbone: computed once, for every seed and every benchmark.

A probe changes only the last layer, so the features of an image are the same for every split. With a folder, features
of an earlier run are taken from it, after some of them were computed again and compared.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.common import data
from facevalue.data.dataset import ImageDataset, dataset_of
from facevalue.data.groups import with_groups
from facevalue.data.manifest import Manifest
from facevalue.data.scan import scan
from facevalue.data.sources import sources_of
from facevalue.data.splits import with_splits
from facevalue.evaluation.calibration_set import ORIGINAL, CalibrationSet, Condition
from facevalue.models.classifier import Classifier
from facevalue.models.features import Extractor, Features
from facevalue.robustness.corruptions.damage import EVERYDAY, Damage
from facevalue.training.methods import new_classifier
from facevalue.training.recipe import Recipe

Places = NDArray[np.int64]

CHECKED = 32
"""Images whose kept features are computed again."""

STEM = r"stem:^([a-z]+\d+)"
"""The renderings of one figure in horse-or-human."""

SETS: dict[str, tuple[str, str | None]] = {
    "human-or-object": ("human-or-object", "image"),
    "human-or-object by folder": ("human-or-object", "parent"),
    "horse-or-human": ("horse-or-human-rgb300", STEM),
    "real-or-ai-face": ("real-or-ai-face", "image"),
    "faces-by-source": ("faces-by-source", "image"),
}
"""Folder and groups. By folder, which is the default of ``train``, no person and no category is in two splits."""


@dataclass(frozen=True, eq=False)
class Frozen:
    """A set, an untrained probe, and features under every condition.

    Attributes
    ----------
    manifest : with groups.
    features : (n, d) by condition.
    milliseconds : per image, by condition: decoding, damage, preprocessing and network.
    """

    manifest: Manifest
    untrained: Classifier
    dataset: ImageDataset
    features: dict[str, torch.Tensor]
    milliseconds: dict[str, float] = field(default_factory=dict)

    def of(self, places: Places, condition: str = ORIGINAL) -> Features:
        return Features(self.features[condition][torch.from_numpy(places)], self.dataset.labels[places])

    def splits(self, shares: dict[str, float], seed: int) -> dict[str, Places]:
        split = with_splits(self.manifest, shares, seed).readable["split"].to_numpy(str)
        return {name: np.flatnonzero(split == name) for name in ("train", "validation", "calibration", "test")}

    def groups(self, places: Places) -> list[str]:
        return [str(group) for group in self.dataset.rows["group"].iloc[places]]

    def calibration(self, places: Places, most: int | None) -> CalibrationSet:
        """As ``train`` makes it: with at most ``most`` images of each kind of damage."""
        chosen = self.dataset.take(places)
        parts = []
        for seed, name in enumerate(EVERYDAY):
            some = chosen.places(len(places) if most is None else most, seed)
            parts.append(Condition(name, some, self.of(places[some], name)))
        return CalibrationSet(self.of(places), tuple(parts), self.groups(places), sources_of(chosen.rows))


def frozen(
    names: Sequence[str], recipe: Recipe, conditions: Sequence[str], kept: Path | None
) -> Iterator[tuple[str, Frozen]]:
    """These of :data:`SETS`, one after the other; features are read from ``kept``, or computed and stored there."""
    last: tuple[str, Manifest, Frozen] | None = None
    for name in names:
        folder, groups = SETS[name]
        scanned = last[1] if last is not None and last[0] == folder else scan(data(folder))
        manifest = with_groups(scanned, groups)
        untrained = new_classifier(recipe, manifest.classes)
        dataset = dataset_of(manifest, untrained.card.preprocessing, untrained.classes)
        found = Frozen(manifest, untrained, dataset, {})
        if last is not None and last[0] == folder:
            found.features.update(last[2].features)
            found.milliseconds.update(last[2].milliseconds)
        else:
            _fill(found, conditions, None if kept is None else kept / f"{folder}.npz")
        last = folder, scanned, found
        yield name, found


def _fill(found: Frozen, conditions: Sequence[str], file: Path | None) -> None:
    if file is not None and file.exists():
        _read(found, file, conditions)
    extractor, dataset = Extractor(found.untrained), found.dataset
    for condition in conditions:
        if condition in found.features:
            continue
        start = time.perf_counter()
        found.features[condition] = _computed(extractor, dataset, condition)
        found.milliseconds[condition] = 1000 * (time.perf_counter() - start) / len(dataset)
    if file is not None and not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        arrays = {condition: x.numpy() for condition, x in found.features.items()}
        times = {f"milliseconds {condition}": np.array(value) for condition, value in found.milliseconds.items()}
        np.savez(file, sha256=dataset.rows["sha256"].to_numpy(str), **arrays, **times)


def _computed(extractor: Extractor, dataset: ImageDataset, condition: str) -> torch.Tensor:
    if condition == ORIGINAL:
        return extractor.features(dataset)
    inputs = Damage.of(condition).inputs(dataset, np.arange(len(dataset)), extractor.preprocessing)
    return extractor.of_inputs(inputs, len(dataset), condition)


def _read(found: Frozen, file: Path, conditions: Sequence[str]) -> None:
    """Kept features in the order of the dataset; some are computed again."""
    arrays = np.load(file)
    at = {sha256: i for i, sha256 in enumerate(arrays["sha256"].tolist())}
    order = np.array([at[sha256] for sha256 in found.dataset.rows["sha256"]])
    some = np.random.default_rng(0).permutation(len(order))[:CHECKED]
    for condition in conditions:
        if condition not in arrays.files:
            continue
        x = torch.from_numpy(arrays[condition][order])
        again = _computed(Extractor(found.untrained, engine="torch"), found.dataset.take(some), condition)
        near = 1e-3 * float(again.abs().max())
        if not torch.allclose(x[torch.from_numpy(some)], again, rtol=1e-3, atol=near):
            raise SystemExit(f"{file}: features of {condition} are not those of this version; remove the file")
        found.features[condition] = x
        if (key := f"milliseconds {condition}") in arrays.files:
            found.milliseconds[condition] = float(arrays[key])
