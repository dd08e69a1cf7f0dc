"""The record of the controls of sources."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from facevalue.evaluation import metrics
from facevalue.evaluation.ridge import Gram
from facevalue.evaluation.source_controls import CHANCE, DRAWS, Controls, area_of, cross_validated
from facevalue.evaluation.source_images import SourceImages, too_few
from facevalue.evidence.provenance import Provenance
from facevalue.evidence.records import BaselineFigures, SourceReport
from facevalue.support import progress

LISTED = 8
"""Pairs and swaps on the record: the lowest ones."""


def source_report(
    images: SourceImages,
    features: NDArray[np.floating],
    name: str,
    baselines: Mapping[str, NDArray[np.floating]],
    *,
    seed: int = 0,
    draws: int = DRAWS,
) -> SourceReport:
    """All controls; the provenance holds only n, and there are no findings yet.

    Parameters
    ----------
    images : with at least one source in each of two classes.
    features : (n, d) of the images; ``name`` says what they are.
    baselines : by name, (n,) a simple measure of each image, or (n, m) several together.
    seed : of the permutations, pairs and swaps.
    """
    with progress.work("source controls", 5, "steps") as work:
        controls = Controls.of(images, features)
        work.advance()
        permuted = controls.permuted(np.random.default_rng(seed), draws)
        work.advance()
        figures = controls.by_source()
        work.advance()
        pairs = controls.pairs(np.random.default_rng(seed))
        swaps = controls.swaps(np.random.default_rng(seed))
        work.advance()
        simple = [baseline(images, measure, values) for measure, values in baselines.items()]
        work.advance()
    accuracy, accuracy_ci = controls.accuracy
    area, area_ci = area_of(images.y, controls.class_scores, len(images.classes))
    return SourceReport(
        provenance=Provenance(n=len(images.y)),
        features=name,
        classes=images.classes,
        accuracy=accuracy,
        accuracy_ci=accuracy_ci,
        auroc=area,
        auroc_ci=area_ci,
        sources=tuple(figures),
        within=tuple(controls.within(c) for c in range(len(images.classes))),
        permuted=permuted,
        pairs=tuple(sorted(pairs, key=lambda one: one.auroc)[:LISTED]),
        pairs_auroc=float(np.mean([one.auroc for one in pairs])) if pairs else None,
        pairs_tried=len(pairs),
        pairs_at_chance=sum(one.auroc_ci[0] <= CHANCE for one in pairs),
        swaps=tuple(sorted(swaps, key=lambda one: one.auroc)[:LISTED]),
        swaps_auroc=float(np.mean([one.auroc for one in swaps])) if swaps else None,
        swaps_tried=len(swaps),
        swaps_reversed=sum(one.auroc_ci[1] < CHANCE for one in swaps),
        baselines=tuple(sorted(simple, key=lambda one: -one.auroc)),
        strength=controls.strength,
        whole_groups=images.whole_groups,
        untold=tuple(too_few(images)),
    )


def baseline(images: SourceImages, name: str, values: NDArray[np.floating]) -> BaselineFigures:
    """AUROC of one measure (n,), or of several (n, m) together by a cross-validated ridge regression."""
    k, x = len(images.classes), values.astype(np.float64)
    if x.ndim > 1:
        goals = np.eye(k)[images.y]
        heads = Gram.of(x).heads(goals, images.weights, 1.0)
        area, ends = area_of(images.y, cross_validated(images, heads), k)
        return BaselineFigures(name=name, n=len(x), auroc=area, auroc_ci=ends)
    # Which direction is which class is not known before: the better one counts.
    areas = [metrics.auroc((images.y == c).astype(np.int64), np.stack([-x, x], 1), 1) for c in range(k)]
    signs = np.where(np.array(areas) >= 0.5, 1.0, -1.0)
    area, ends = area_of(images.y, x[:, None] * signs, k)
    return BaselineFigures(name=name, n=len(x), auroc=area, auroc_ci=ends)
