"""Accuracy of a model on corrupted images, by kind and strength of corruption."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial

import numpy as np
from PIL import Image

from facevalue.data.dataset import ImageDataset
from facevalue.evaluation import metrics
from facevalue.evidence.findings import Finding, finding
from facevalue.evidence.provenance import Provenance
from facevalue.evidence.records import CorruptionFigures, CorruptionReport
from facevalue.robustness.corruptions import CORRUPTIONS, Corruption, corrupted
from facevalue.runtime.base import ImagePredictor
from facevalue.support import machine, progress
from facevalue.support.formats import percent

_LOST = 0.1
"""A drop of accuracy by more than this at the mildest strength gets a warning."""


def corrupt_dataset(predictor: ImagePredictor, dataset: ImageDataset, seed: int = 0) -> CorruptionReport:
    """Accuracy of a predictor on a dataset, clean and under every corruption and strength."""
    start = time.perf_counter()
    n = len(dataset)
    cells = [(corruption, strength) for corruption in CORRUPTIONS.values() for strength in corruption.strengths]
    with progress.work("everyday corruptions", n * (1 + len(cells))) as work:
        clean = _right(predictor, dataset, None, 0, seed, work)
        results = []
        for corruption, strength in cells:
            right = _right(predictor, dataset, corruption, strength, seed, work)
            results.append(
                CorruptionFigures(
                    corruption=corruption.name,
                    strength=float(strength),
                    unit=corruption.unit,
                    n=n,
                    accuracy=right / n,
                    accuracy_ci=metrics.wilson(right, n),
                )
            )
    by_kind = [[r.accuracy for r in results if r.corruption == name] for name in CORRUPTIONS]
    return CorruptionReport(
        provenance=Provenance.of(dataset, start, seed),
        classes=dataset.classes,
        clean_accuracy=clean / n,
        clean_ci=metrics.wilson(clean, n),
        mean_accuracy=float(np.mean([np.mean(of_kind) for of_kind in by_kind])),
        results=tuple(results),
        warnings=tuple(_fragile(results, clean / n)),
    )


def _right(
    predictor: ImagePredictor,
    dataset: ImageDataset,
    corruption: Corruption | None,
    strength: float,
    seed: int,
    work: progress.Work,
) -> int:
    """Number of images classified correctly with this corruption, whether the model abstains or not."""
    changed = machine.in_order(
        partial(_image, dataset, corruption=corruption, strength=strength, seed=seed), range(len(dataset))
    )
    right = 0
    predictions = predictor.stream_named((None, image) for image in changed)
    for prediction, label in zip(predictions, dataset.labels, strict=True):
        right += prediction.leaning == dataset.classes[label]
        work.advance(1, "" if corruption is None else f"{corruption.name} {strength:g}")
    return right


def _image(dataset: ImageDataset, index: int, corruption: Corruption | None, strength: float, seed: int) -> Image.Image:
    """The upright image, corrupted."""
    image = dataset.upright(index)
    return image if corruption is None else corrupted(image, corruption, strength, seed)


def _fragile(results: list[CorruptionFigures], clean: float) -> Iterator[Finding]:
    mildest: dict[str, CorruptionFigures] = {}
    for row in results:
        mildest.setdefault(row.corruption, row)
    for row in mildest.values():
        if row.accuracy_ci[1] < clean and row.accuracy < clean - _LOST:
            text = (
                f"even mild {row.corruption} ({row.strength:g} {row.unit}) lowers accuracy from {percent(clean)} to "
                f"{percent(row.accuracy)} (n = {row.n})"
            )
            yield finding(
                "fragile-to-corruption",
                text,
                corruption=row.corruption,
                strength=row.strength,
                before=clean,
                after=row.accuracy,
                n=row.n,
            )
