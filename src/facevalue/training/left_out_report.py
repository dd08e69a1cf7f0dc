"""The figures of every source, each by heads that were trained without it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from facevalue.data.dataset import ImageDataset
from facevalue.data.families import By
from facevalue.errors import DataError
from facevalue.evaluation.left_out import LeftOut, figures, left_out_findings
from facevalue.evaluation.source_images import FEWEST
from facevalue.evidence.findings import NAMED
from facevalue.evidence.provenance import Provenance
from facevalue.evidence.records import LeftOutFigures, LeftOutReport
from facevalue.images.remaking import PIPELINES, Pipeline
from facevalue.models.features import Extractor
from facevalue.support import progress
from facevalue.training.left_out import OwnImages

CONDITIONS: dict[str, Pipeline | None] = {
    "clean": None,
    **{name: PIPELINES[name] for name in ("jpeg-q60-420", "jpeg-q40-420")},
    **{name: pipeline for name, pipeline in PIPELINES.items() if pipeline.kind == "resize"},
}
"""The images as they are, JPEG at two qualities, and each filter and factor of resizing."""


@dataclass(frozen=True, eq=False)
class Asked:
    """The images to test on.

    Attributes
    ----------
    names : (n,) source or family of each image; "" where it is not known.
    new : (n,) whether the model has not learned from it. An image that it has learned from is tested only when its own
        source is left out, never beside another one.
    """

    images: ImageDataset
    names: NDArray[np.object_]
    new: NDArray[np.bool_]


def some_of_each(
    labels: NDArray[np.int64], names: Sequence[str], new: NDArray[np.bool_], most: int | None, seed: int
) -> NDArray[np.int64]:
    """Positions of at most ``most`` images of each class and source, ascending; new images first."""
    rng = np.random.default_rng(seed)
    cells: dict[tuple[int, str], list[int]] = {}
    for i in rng.permutation(len(labels)).tolist():
        cells.setdefault((int(labels[i]), names[i]), []).append(i)
    chosen = [sorted(places, key=lambda i: not new[i])[:most] for places in cells.values()]
    return np.sort(np.concatenate(chosen)).astype(np.int64)


def left_out_report(own: OwnImages, asked: Asked, by: By, seeds: int) -> LeftOutReport:
    """Leave out each source of the images in turn.

    Parameters
    ----------
    own : what the model learned from.
    asked : images to test on.
    seeds : number of heads for each source; the first uses the model's own split.

    Raises
    ------
    UsageError
        The model's own images have no source.
    DataError
        No source could be left out.
    """
    start = time.perf_counter()
    known = own.sources(by)
    features = _features(own, asked.images)
    found: list[LeftOutFigures] = []
    untold: list[str] = []
    card = own.classifier.card
    first = card.provenance.seed or 0
    numbers = tuple(first + i for i in range(seeds))
    cells = sorted({(int(y), name) for y, name in zip(asked.images.labels, asked.names, strict=True) if name})
    with progress.work("leaving out each in turn", len(cells), "sources") as work:
        for label, name in cells:
            try:
                found.extend(_one(own, (asked, features), known, (label, name), numbers, untold))
            except DataError as error:
                untold.append(f"{card.classes[label]}/{name}: {error}")
            work.advance(1, name)
    if unknown := int((asked.names == "").sum()):
        untold.append(f"{unknown} images have no {by}")
    if unknown := sum(int((part == "").sum()) for part in known.values()):
        untold.append(f"{unknown} images that the model learned from have no {by}, and stayed in every training")
    if not found:
        raise DataError(f"no {by} could be left out: {'; '.join(untold[:NAMED])}")
    report = LeftOutReport(
        provenance=Provenance.of(asked.images, start, first),
        by=by,
        classes=card.classes,
        seeds=numbers,
        positive=card.positive,
        threshold=card.threshold,
        results=tuple(found),
        untold=tuple(untold),
    )
    return report.changed(warnings=left_out_findings(report))


def _features(own: OwnImages, dataset: ImageDataset) -> dict[str, Tensor]:
    """(n, d) features of the images under every condition."""
    extractor = Extractor(own.classifier)
    return {
        name: extractor.features(dataset.remade(pipeline), f"computing features: {name}")
        for name, pipeline in CONDITIONS.items()
    }


def _one(
    own: OwnImages,
    tested: tuple[Asked, Mapping[str, Tensor]],
    known: Mapping[str, NDArray[np.object_]],
    cell: tuple[int, str],
    seeds: Sequence[int],
    untold: list[str],
) -> list[LeftOutFigures]:
    """The figures of one source, a class and a name, under every condition; ``untold`` gets what was done otherwise."""
    (images, features), (label, name), card = tested, cell, own.classifier.card
    labels, named = images.images.labels, images.names == name
    asked = np.flatnonzero(((labels == label) & named) | ((labels != label) & ~named & images.new))
    mine = (labels == label)[asked]
    if mine.sum() < FEWEST:
        n = int(mine.sum())
        raise DataError(f"only {n} image{'s' * (n != 1)} to test on, and {FEWEST} are needed")
    if mine.all():
        raise DataError("there is no image of another class that the model has not learned from, to compare with")
    kept = {part: sources != name for part, sources in known.items()}
    what = LeftOut(
        source=name,
        label=label,
        learned=sum(int((~mask).sum()) for mask in kept.values()),
        classes=card.classes,
        positive=card.positive_index,
        threshold=card.threshold,
    )
    shown = [x[asked] for x in features.values()]
    whole = own.complete(kept)
    if not whole:
        untold.append(
            f"{card.classes[label]}/{name}: without it the model's own split has no image of a class in validation or "
            "calibration, so the images were dealt anew for the first seed, too"
        )
    by_seed = [own.probabilities(shown, kept, None if whole and i == 0 else seed) for i, seed in enumerate(seeds)]
    return [
        figures(what, condition, mine, labels[asked], [p[i] for p in by_seed]) for i, condition in enumerate(features)
    ]
