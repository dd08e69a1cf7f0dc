"""Finds labels that contradict the features of a network."""

from __future__ import annotations

import torch

from facevalue.data.audit.labels import Suspect, find_suspects
from facevalue.data.dataset import dataset_of
from facevalue.data.manifest import Manifest
from facevalue.errors import DataError
from facevalue.models.features import Extractor
from facevalue.training.methods import new_classifier
from facevalue.training.recipe import read


def suspicious_labels(manifest: Manifest, network: str, weights: str) -> tuple[Suspect, ...]:
    """The most likely label errors of a manifest with groups, found by a probe on a network's features.

    Raises
    ------
    DataError
        There is only one class, or a class has only one group.
    WeightsError
        The weights cannot be loaded or do not fit.
    """
    classes = manifest.classes
    if len(classes) < 2:
        raise DataError(f"{manifest.source} has only one class; finding label errors needs at least two")
    recipe = read("probe", {"network.name": network, "network.weights": weights})
    # The new head is random: use a fixed seed, and leave the caller's generator unchanged.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        classifier = new_classifier(recipe, classes)
    chosen = dataset_of(manifest, classifier.card.preprocessing, classes)
    features = Extractor(classifier).features(chosen).double().numpy()
    rows = manifest.readable
    return find_suspects(features, chosen.labels, list(rows["group"]), list(rows["path"]), classes)
