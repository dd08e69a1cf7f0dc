"""Labels that a network's features contradict."""

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
    """The likeliest label errors of a manifest with groups, by a quick probe on a network's features.

    Raises
    ------
    DataError
        There is one class only, or a class with one group.
    WeightsError
        The weights cannot be had or do not fit.
    """
    classes = manifest.classes
    if len(classes) < 2:
        raise DataError(f"{manifest.source} has one class only; labels can be checked against those of another")
    recipe = read("probe", {"network.name": network, "network.weights": weights})
    # A new head is drawn: always the same one, and not from the generator of whoever calls.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        classifier = new_classifier(recipe, classes)
    chosen = dataset_of(manifest, classifier.card.preprocessing, classes)
    features = Extractor(classifier).features(chosen).double().numpy()
    rows = manifest.readable
    return find_suspects(features, chosen.labels, list(rows["group"]), list(rows["path"]), classes)
