"""A model on damaged pictures: what is left of its accuracy by kind and strength of damage."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from facevalue import machine, metrics, pixels, plots, progress
from facevalue.classifier import load
from facevalue.corruptions import CORRUPTIONS, Corruption, corrupted
from facevalue.data.pictures import Pictures
from facevalue.evaluation import now
from facevalue.evidence import CorruptionFigures, CorruptionReport
from facevalue.runtime import open_folder
from facevalue.runtime.predictor import Predictor
from facevalue.workshop.asked_pictures import to_judge_by
from facevalue.workshop.keeping import ask_kept, keep

_LOST = 0.1
"""A fall of the accuracy by so much at the mildest strength is worth a warning."""


def corruptions(
    model: Path | str,
    data: Path | str,
    *,
    split: str | None = None,
    limit: int | None = 500,
    seed: int = 0,
    plot: Path | str | None = None,
    save: bool = True,
    command: str = "",
) -> CorruptionReport:
    """Accuracy under everyday damage, kept on the model's card.

    Each picture is damaged as it was decoded, before the geometry, and asked of ``model.onnx`` through the runtime:
    what a user of the model would get for such a file.

    Parameters
    ----------
    data, split : as :func:`facevalue.workshop.evaluate` takes them.
    limit : use at most this many pictures, drawn evenly from the classes; ``None`` for all.
        Each is asked about 41 times.
    seed : of what is random in the damage, and of which pictures are drawn.
    plot : a PNG with a curve for each kind of damage.
    """
    folder = Path(model)
    classifier = load(folder)
    if save:
        ask_kept(folder)
    asked = to_judge_by(folder, classifier.card, Path(data), split)
    chosen = asked.pictures.some(limit, seed) if limit is not None else asked.pictures
    report = corrupted_pictures(open_folder(folder), chosen, seed)
    report = report.changed(warnings=(*asked.warnings, *report.warnings), command=command, created=now())
    if plot is not None:
        plots.save_png(plots.corruption_curves(report), Path(plot))
    if save:
        keep(folder, report)
    return report


def corrupted_pictures(predictor: Predictor, pictures: Pictures, seed: int = 0) -> CorruptionReport:
    """The figures, without knowing of model folders."""
    start = time.perf_counter()
    n = len(pictures)
    cells = [(corruption, strength) for corruption in CORRUPTIONS.values() for strength in corruption.strengths]
    with progress.work("everyday damage", n * (1 + len(cells))) as work:
        clean = _right(predictor, pictures, None, 0, seed, work)
        results = []
        for corruption, strength in cells:
            right = _right(predictor, pictures, corruption, strength, seed, work)
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
        split=pictures.name,
        n=n,
        classes=pictures.classes,
        clean_accuracy=clean / n,
        clean_ci=metrics.wilson(clean, n),
        mean_accuracy=float(np.mean([np.mean(of_kind) for of_kind in by_kind])),
        results=tuple(results),
        warnings=tuple(_fragile(results, clean / n)),
        fingerprint=pictures.fingerprint,
        source=pictures.source,
        seconds=time.perf_counter() - start,
        seed=seed,
    )


def _right(
    predictor: Predictor,
    pictures: Pictures,
    corruption: Corruption | None,
    strength: float,
    seed: int,
    work: progress.Work,
) -> int:
    """How many pictures are decided rightly, abstained or not, with this damage."""
    damaged = machine.in_order(partial(_file, corruption=corruption, strength=strength, seed=seed), pictures.paths)
    right = 0
    verdicts = predictor.predict_named((None, data) for data in damaged)
    for verdict, label in zip(verdicts, pictures.labels, strict=True):
        right += verdict.leaning == pictures.classes[label]
        work.advance(1, "" if corruption is None else f"{corruption.name} {strength:g}")
    return right


def _file(path: Path, corruption: Corruption | None, strength: float, seed: int) -> bytes:
    """The damaged picture as a file that loses nothing more and costs nothing to pack."""
    image = pixels.decode(pixels.read_bytes(path))
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
