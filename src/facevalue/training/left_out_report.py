"""The figures of every source, each by heads that were trained without it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from facevalue.data.dataset import ImageDataset
from facevalue.data.families import By, left_out_by
from facevalue.errors import DataError, UsageError
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
class Tested:
    """The images to test on: (n,) classes and sources, and (n, d) features by condition."""

    labels: NDArray[np.int64]
    names: NDArray[np.object_]
    features: Mapping[str, Tensor]


def some_of_each(dataset: ImageDataset, names: Sequence[str], most: int, seed: int) -> NDArray[np.int64]:
    """Positions of at most ``most`` images of each class and source, ascending."""
    rng = np.random.default_rng(seed)
    cells: dict[tuple[int, str], list[int]] = {}
    for i, cell in enumerate(zip(dataset.labels.tolist(), names, strict=True)):
        cells.setdefault(cell, []).append(i)
    return np.sort(np.concatenate([rng.permutation(cells[cell])[:most] for cell in sorted(cells)]))


def left_out_report(own: OwnImages, dataset: ImageDataset, by: By, seeds: int) -> LeftOutReport:
    """Leave out each source of ``dataset`` in turn.

    Parameters
    ----------
    own : what the model learned from.
    dataset : images to test on, with sources or families; none of them was learned from.
    seeds : number of heads for each source; the first uses the model's own split.

    Raises
    ------
    UsageError
        No image has a source.
    """
    start = time.perf_counter()
    names = left_out_by(dataset.rows, by)
    if not names:
        raise UsageError(
            f"`leave_out` {by}: no image has one; name it in a column {by!r} of a manifest, or sort the images of each "
            "class into a folder a source"
        )
    known = own.sources(by)
    tested = Tested(dataset.labels, np.array(names, object), _features(own, dataset))
    found: list[LeftOutFigures] = []
    untold: list[str] = []
    card = own.classifier.card
    first = card.provenance.seed or 0
    numbers = tuple(first + i for i in range(seeds))
    cells = sorted({(int(y), name) for y, name in zip(dataset.labels, names, strict=True) if name})
    with progress.work("leaving out each in turn", len(cells), "sources") as work:
        for label, name in cells:
            try:
                found.extend(_one(own, tested, known, (label, name), numbers))
            except DataError as error:
                untold.append(f"{card.classes[label]}/{name}: {error}")
            work.advance(1, name)
    if unknown := names.count(""):
        untold.append(f"{unknown} images have no {by}")
    if unknown := sum(int((part == "").sum()) for part in known.values()):
        untold.append(f"{unknown} images that the model learned from have no {by}, and stayed in every training")
    if not found:
        raise DataError(f"no {by} could be left out: {'; '.join(untold[:NAMED])}")
    report = LeftOutReport(
        provenance=Provenance.of(dataset, start, first),
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
    tested: Tested,
    known: Mapping[str, NDArray[np.object_]],
    cell: tuple[int, str],
    seeds: Sequence[int],
) -> list[LeftOutFigures]:
    label, name = cell
    card, labels, names = own.classifier.card, tested.labels, tested.names
    asked = np.flatnonzero(((labels == label) & (names == name)) | ((labels != label) & (names != name)))
    mine = (labels == label)[asked]
    if mine.sum() < FEWEST:
        raise DataError(f"only {int(mine.sum())} images to test on, and {FEWEST} are needed")
    if mine.all():
        raise DataError("no image of another class is left to compare with")
    kept = {part: sources != name for part, sources in known.items()}
    what = LeftOut(
        source=name,
        label=label,
        learned=sum(int((~mask).sum()) for mask in kept.values()),
        classes=card.classes,
        positive=card.positive_index,
        threshold=card.threshold,
    )
    shown = [x[asked] for x in tested.features.values()]
    by_seed = [own.probabilities(shown, kept, None if i == 0 else seed) for i, seed in enumerate(seeds)]
    return [
        figures(what, condition, mine, labels[asked], [p[i] for p in by_seed])
        for i, condition in enumerate(tested.features)
    ]
