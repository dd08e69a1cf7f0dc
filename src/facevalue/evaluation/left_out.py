"""Figures of one source that nothing was learned from, from the scores of several heads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facevalue import decision
from facevalue.evaluation import metrics
from facevalue.evaluation.source_controls import CHANCE
from facevalue.evidence.findings import Finding, finding
from facevalue.evidence.records import LeftOutFigures, LeftOutReport
from facevalue.support.formats import percent

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ACCUSED = 0.05
"""Warn if surely more than this share of a source's negatives is called positive."""


@dataclass(frozen=True)
class LeftOut:
    """What was left out, and how answers are made.

    Attributes
    ----------
    source, label : its name, and the index of its class in ``classes``.
    learned : its images in the model's training.
    """

    source: str
    label: int
    learned: int
    classes: tuple[str, ...]
    positive: int | None
    threshold: float


def figures(
    what: LeftOut, condition: str, mine: NDArray[np.bool_], y: Ints, by_seed: Sequence[Floats]
) -> LeftOutFigures:
    """The figures under one condition.

    Parameters
    ----------
    mine : (n,) the images of the source; the others are of the other classes.
    y : (n,) true classes.
    by_seed : for each seed (n, k) probabilities, by a head that did not learn from the source.
    """
    own = y == what.label
    decided = [decision.decide(p, what.positive, what.threshold) for p in by_seed]
    areas = [
        metrics.auroc(own.astype(np.int64), np.stack([1 - p[:, what.label], p[:, what.label]], 1), 1) for p in by_seed
    ]
    recall = [float((d[mine] == what.label).mean()) for d in decided]
    others = [metrics.balanced_accuracy(y[~mine], d[~mine]) for d in decided]
    found = LeftOutFigures(
        source=what.source,
        label=what.classes[what.label],
        condition=condition,
        n=int(mine.sum()),
        others=int((~mine).sum()),
        learned=what.learned,
        auroc=float(np.mean(areas)),
        auroc_range=(float(min(areas)), float(max(areas))),
        balanced_accuracy=float(np.mean(recall) + np.mean(others)) / 2,
        recall=float(np.mean(recall)),
    )
    if what.positive is None:
        return found
    positive = y == what.positive
    rates = {rate: [tpr_at(p[:, what.positive], positive, rate) for p in by_seed] for rate in (0.005, 0.01)}
    found = found.changed(
        tpr_at_half_percent=float(np.mean(rates[0.005])), tpr_at_one_percent=float(np.mean(rates[0.01]))
    )
    if what.label == what.positive:
        return found
    accused = [int((d[mine] == what.positive).sum()) for d in decided]
    return found.changed(
        accused=tuple(accused),
        accused_rate=float(np.mean(accused)) / found.n,
        accused_ci=metrics.exact(max(accused), found.n),
    )


def tpr_at(score: Floats, positive: NDArray[np.bool_], rate: float) -> float:
    """Share of the positives above the lowest threshold that at most ``rate`` of the negatives exceed.

    >>> score = np.array([0.1, 0.2, 0.9, 0.3, 0.95])
    >>> tpr_at(score, np.array([False, False, False, True, True]), 0.01)
    0.5
    >>> tpr_at(score, np.array([False, False, False, True, True]), 0.34)
    1.0
    """
    negatives = np.sort(score[~positive])[::-1]
    allowed = int(np.floor(rate * len(negatives)))
    if allowed >= len(negatives):
        return 1.0
    return float((score[positive] > negatives[allowed]).mean())


def left_out_findings(report: LeftOutReport) -> tuple[Finding, ...]:
    """Sources at chance, and sources whose images are accused, as the images are."""
    clean = report.of("clean")
    found = []
    chance = [one for one in clean if metrics.auroc_interval(one.auroc, one.n, one.others)[0] <= CHANCE]
    if chance:
        worst = min(chance, key=lambda one: one.auroc)
        text = (
            f"in {len(chance)} of {len(clean)} cases a {report.by} that was left out is not told from the other class "
            f"better than by chance; the lowest AUROC is {worst.auroc:.2f} for {worst.label}/{worst.source} "
            f"(n = {worst.n})"
        )
        found.append(finding("source-unseen-at-chance", text, lowest=worst.auroc, n=len(chance), tried=len(clean)))
    accused = [one for one in clean if one.accused_ci is not None and one.accused_ci[0] > ACCUSED]
    if accused:
        worst = max(accused, key=lambda one: one.accused_rate or 0.0)
        assert worst.accused_rate is not None
        assert worst.accused_ci is not None
        text = (
            f"{percent(worst.accused_rate)} of the images of {worst.label}/{worst.source} are called "
            f"{report.positive!r} by heads that learned nothing from it (n = {worst.n}, 95 %: "
            f"{percent(worst.accused_ci[0])} to {percent(worst.accused_ci[1])}); {len(accused)} of the cases are "
            f"surely above {percent(ACCUSED, 0)}"
        )
        found.append(finding("unseen-source-accused", text, rate=worst.accused_rate, source=worst.source, n=worst.n))
    return tuple(found)
