"""Findings of the controls of sources."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from facevalue.evaluation.source_controls import CHANCE
from facevalue.evidence.findings import Finding, finding
from facevalue.evidence.records import SourceReport
from facevalue.support.formats import percent

EXPLAINED = 0.5
"""Sources may explain the accuracy if permuted labels reach at least this part of it, beyond what classes give."""

KEPT = 0.8
"""They do not, if this part of the AUROC above chance is left on pairs of sources that nothing was learned from."""

LEAST_BASELINE = 0.6
"""A simple measure counts only if the lower end of its AUROC is above this."""

_NAMED = 3


def source_findings(report: SourceReport, *, of_model: bool) -> tuple[Finding, ...]:
    """What a reader of the report should know.

    Parameters
    ----------
    of_model : whether the features are the model's. Simple features need not recognise the classes in new sources, so
        then only the permuted labels and what cannot be told are findings.
    """
    found = [*_explained(report)]
    if of_model:
        found += [*_at_chance(report), *_reversed(report), *_baselines(report)]
    return (*found, *cannot_be_told(report.untold))


def cannot_be_told(reasons: Sequence[str]) -> Iterator[Finding]:
    """A note with all reasons, if there are any."""
    if reasons:
        text = f"not all controls of sources are possible: {'; '.join(reasons)}"
        yield finding("sources-cannot-be-told", text, reasons=tuple(reasons))


def kept(report: SourceReport) -> float | None:
    """The part of the AUROC above chance that is left on unseen pairs of sources; ``None`` if it cannot be told."""
    if report.pairs_auroc is None or report.auroc <= CHANCE:
        return None
    return (report.pairs_auroc - CHANCE) / (report.auroc - CHANCE)


def _explained(report: SourceReport) -> Iterator[Finding]:
    permuted = report.permuted
    above_chance = report.accuracy_ci[0] > 1 / len(report.classes)
    if permuted is None or permuted.explained is None or permuted.explained < EXPLAINED or not above_chance:
        return
    low, high = permuted.interval
    figures = (
        f"with the class labels of whole sources permuted at random, balanced accuracy on held-out images is "
        f"{percent(permuted.mean)} ({percent(low)} to {percent(high)}, {permuted.draws} draws); with the true labels "
        f"it is {percent(report.accuracy)} (n = {report.n}, on {report.features})"
    )
    left = kept(report)
    values = {
        "accuracy": report.accuracy,
        "permuted": permuted.mean,
        "explained": permuted.explained,
        "pairs_auroc": report.pairs_auroc,
        "n": report.n,
    }
    if left is None or left < KEPT:
        unseen = (
            "and whether unseen sources are recognised cannot be told"
            if report.pairs_auroc is None
            else f"and on pairs of sources left out AUROC falls from {report.auroc:.2f} to {report.pairs_auroc:.2f}"
        )
        text = f"{figures}, {unseen}: the accuracy may come from telling sources apart, not classes"
        yield finding("sources-explain-accuracy", text, **values)
    else:
        text = (
            f"{figures}, so the sources can be told apart; but on pairs of sources left out AUROC stays at "
            f"{report.pairs_auroc:.2f} (with all sources {report.auroc:.2f}): the classes are recognised, too"
        )
        yield finding("sources-told-apart", text, **values)


def _at_chance(report: SourceReport) -> Iterator[Finding]:
    found = [
        (one.unseen, f"{one.label}/{one.source} {one.unseen:.2f} ({one.unseen_ci[0]:.2f} to {one.unseen_ci[1]:.2f})")
        for one in report.sources
        if one.unseen is not None and one.unseen_ci is not None and one.unseen_ci[0] <= CHANCE
    ]
    what, n, tried = "source", len(found), sum(one.unseen is not None for one in report.sources)
    if not found:
        found = [
            (one.auroc, f"{' and '.join(one.sources)} {one.auroc:.2f} ({one.auroc_ci[0]:.2f} to {one.auroc_ci[1]:.2f})")
            for one in report.pairs
            if one.auroc_ci[0] <= CHANCE
        ]
        what, n, tried = "pair of sources", report.pairs_at_chance, report.pairs_tried
    if found:
        found.sort()
        more = f" and {n - _NAMED} more" if n > _NAMED else ""
        text = (
            f"if nothing is learned from a {what}, its class is not shown to be recognised better than by chance in "
            f"{n} of {tried}: AUROC of {', '.join(text for _, text in found[:_NAMED])}{more}"
        )
        yield finding("source-unseen-at-chance", text, lowest=found[0][0], n=n, tried=tried)


def _reversed(report: SourceReport) -> Iterator[Finding]:
    found = [one for one in report.swaps if one.auroc_ci[1] < CHANCE]
    if found and report.swaps_auroc is not None:
        worst = found[0]
        text = (
            f"the answers reverse if sources are exchanged: trained on {' and '.join(worst.trained)}, tested on "
            f"{' and '.join(worst.tested)}, AUROC is {worst.auroc:.2f} ({worst.auroc_ci[0]:.2f} to "
            f"{worst.auroc_ci[1]:.2f}, n = {worst.n}); {report.swaps_reversed} of {report.swaps_tried} "
            f"exchanges reverse, and the mean is "
            f"{report.swaps_auroc:.2f}"
        )
        yield finding("swapped-sources-reverse-answers", text, lowest=worst.auroc, mean=report.swaps_auroc, n=worst.n)


def _baselines(report: SourceReport) -> Iterator[Finding]:
    compared = report.auroc if report.pairs_auroc is None else report.pairs_auroc
    found = [b for b in report.baselines if b.auroc >= compared and b.auroc_ci[0] > LEAST_BASELINE]
    if found:
        where = "on the same images" if report.pairs_auroc is None else "on pairs of sources left out"
        best = ", ".join(f"{one.name} {one.auroc:.2f}" for one in found[:_NAMED])
        text = (
            f"a simple measure tells the classes apart as well as the model's features: AUROC of {best}; of the "
            f"features {where} {compared:.2f}"
        )
        yield finding("simple-measure-as-good", text, auroc=found[0].auroc, model=compared, measure=found[0].name)
