"""Controls of sources on the features of a training."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from facevalue.data.dataset import ImageDataset
from facevalue.data.manifest import Manifest
from facevalue.data.sources import sources_of
from facevalue.evaluation.source_audit import SourceAudit, audit_sources
from facevalue.evaluation.source_findings import cannot_be_told
from facevalue.training.methods import Trained
from facevalue.training.recipe import Recipe

LEARNED = ("train", "validation", "calibration")
"""The splits whose images are used; test images stay unseen."""

TRAINED_ON_ALL = (
    "the network itself was trained on all sources, so its features know the sources that a control would leave out; "
    "train a probe to have the controls"
)


def controls_of_training(
    manifest: Manifest, splits: Mapping[str, ImageDataset], trained: Trained, recipe: Recipe
) -> SourceAudit:
    """The controls on a probe's frozen features; of a network that was itself trained, why there are none.

    Parameters
    ----------
    manifest : that the splits are from.
    """
    rows = pd.concat([splits[name].rows for name in LEARNED], ignore_index=True)
    if recipe.method != "probe":
        sources = sources_of(rows)
        return SourceAudit(None, tuple(cannot_be_told([TRAINED_ON_ALL] if len(set(sources)) > 2 else [])))

    def features(places: NDArray[np.int64]) -> NDArray[np.floating]:
        found: NDArray[np.float32] = torch.cat([trained.features[part].x for part in LEARNED])[places].numpy()
        return found

    name = f"features of {trained.classifier.card.network.name}"
    return audit_sources(manifest, rows, features, name, classes=trained.classifier.card.classes, seed=recipe.seed)
