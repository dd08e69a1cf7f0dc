"""Accuracy of a model on corrupted images, by kind and strength of corruption."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from facevalue.data.dataset import ImageDataset
from facevalue.evaluation import metrics
from facevalue.evidence.records import CorruptionFigures, CorruptionReport
from facevalue.images import decoding
from facevalue.robustness.corruptions import CORRUPTIONS, Corruption, corrupted
from facevalue.runtime.predictor import Predictor
from facevalue.support import machine, progress

_LOST = 0.1
"""A fall of the accuracy by so much at the mildest strength is worth a warning."""


def evaluate_corruptions(predictor: Predictor, dataset: ImageDataset, seed: int = 0) -> CorruptionReport:
    """The figures, without knowing of model folders."""
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
        split=dataset.name,
        n=n,
        classes=dataset.classes,
        clean_accuracy=clean / n,
        clean_ci=metrics.wilson(clean, n),
        mean_accuracy=float(np.mean([np.mean(of_kind) for of_kind in by_kind])),
        results=tuple(results),
        warnings=tuple(_fragile(results, clean / n)),
        fingerprint=dataset.fingerprint,
        source=dataset.source,
        seconds=time.perf_counter() - start,
        seed=seed,
    )


def _right(
    predictor: Predictor,
    dataset: ImageDataset,
    corruption: Corruption | None,
    strength: float,
    seed: int,
    work: progress.Work,
) -> int:
    """How many images are decided rightly, abstained or not, with this corruption."""
    corrupted = machine.in_order(partial(_file, corruption=corruption, strength=strength, seed=seed), dataset.paths)
    right = 0
    predictions = predictor.predict_named((None, data) for data in corrupted)
    for prediction, label in zip(predictions, dataset.labels, strict=True):
        right += prediction.leaning == dataset.classes[label]
        work.advance(1, "" if corruption is None else f"{corruption.name} {strength:g}")
    return right


def _file(path: Path, corruption: Corruption | None, strength: float, seed: int) -> bytes:
    """The damaged image as a file that loses nothing more and costs nothing to pack."""
    image = decoding.decode(decoding.read_bytes(path))
    if corruption is not None:
        image = corrupted(image, corruption, strength, seed)
    buffer = io.BytesIO()
    image.save(buffer, "BMP")
    return buffer.getvalue()


def _fragile(results: list[CorruptionFigures], clean: float) -> Iterator[str]:
    mildest: dict[str, CorruptionFigures] = {}
    for row in results:
        mildest.setdefault(row.corruption, row)
    for row in mildest.values():
        if row.accuracy_ci[1] < clean and row.accuracy < clean - _LOST:
            yield (
                f"even mild {row.corruption} ({row.strength:g} {row.unit}) takes accuracy from {100 * clean:.1f} to "
                f"{100 * row.accuracy:.1f} % (n = {row.n})"
            )
