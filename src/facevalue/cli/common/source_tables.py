"""Tables of the controls of sources and of sources left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from facevalue.cli.common.output import printable, table
from facevalue.support.formats import interval, percent

if TYPE_CHECKING:
    from facevalue.evidence.records import LeftOutReport, SourceReport

_SOURCES = 12  # most sources shown; --json has all


def source_parts(report: SourceReport) -> list[Table | str]:
    """The controls, then the sources with the lowest AUROC when nothing was learned from them."""
    rows: list[tuple[str, str, str]] = [
        ("balanced accuracy, true labels", percent(report.accuracy), interval(report.accuracy_ci)),
        ("AUROC, true labels", f"{report.auroc:.3f}", _ends(report.auroc_ci)),
    ]
    if report.permuted is not None:
        p = report.permuted
        rows.append((f"balanced accuracy, labels permuted ({p.draws} draws)", percent(p.mean), interval(p.interval)))
        rows.append(("the same, if only classes were known", percent(p.by_class), ""))
    for within in report.within:
        told = "cannot be told" if within.auroc is None else f"{within.auroc:.3f}"
        rows.append((f"AUROC between the sources of {within.label}", told, _ends(within.auroc_ci)))
    for what, mean, n, lowest in (
        ("pairs of sources left out", report.pairs_auroc, report.pairs_tried, report.pairs),
        ("sources exchanged", report.swaps_auroc, report.swaps_tried, report.swaps),
    ):
        worst = f"lowest {lowest[0].auroc:.3f}" if lowest else ""
        rows.append((f"AUROC, {what} (n = {n})", "cannot be told" if mean is None else f"{mean:.3f}", worst))
    rows += [(f"AUROC of {b.name} alone", f"{b.auroc:.3f}", _ends(b.auroc_ci)) for b in report.baselines]
    title = f"controls of sources, n = {report.n}, on {report.features}"
    return [table(title, ("control", "figure", "95 %"), [tuple(map(printable, row)) for row in rows]), _sources(report)]


def _sources(report: SourceReport) -> Table:
    ordered = sorted(report.sources, key=lambda one: 2.0 if one.unseen is None else one.unseen)
    more = len(ordered) - _SOURCES
    rows = [
        (
            printable(one.source),
            printable(one.label),
            one.n,
            "-" if one.told is None else f"{one.told:.3f}",
            "cannot be told" if one.unseen is None else f"{one.unseen:.3f}",
            _ends(one.unseen_ci),
        )
        for one in ordered[:_SOURCES]
    ]
    title = "sources, the lowest AUROC first" + (f"; {more} more in --json FILE" if more > 0 else "")
    return table(title, ("source", "class", "n", "told from its class", "left out: AUROC", "95 %"), rows)


def left_out_parts(report: LeftOutReport) -> list[Table | str]:
    """One row for each source as the images are, then one for each condition with the lowest AUROC of a source."""
    columns = ("left out", "class", "n", "auroc", "balanced", "TPR at FPR 0.5 %", "at 1 %", "called positive", "95 %")
    rows = [
        (
            printable(r.source),
            printable(r.label),
            r.n,
            f"{r.auroc:.3f}",
            percent(r.balanced_accuracy),
            percent(r.tpr_at_half_percent),
            percent(r.tpr_at_one_percent),
            "-" if r.accused is None else percent(r.accused_rate),
            "-" if r.accused_ci is None else interval(r.accused_ci),
        )
        for r in report.of("clean")
    ]
    seeds = f"{len(report.seeds)} seed{'s' * (len(report.seeds) > 1)}"
    parts: list[Table | str] = [table(f"each {report.by} left out, {seeds}", columns, rows)]
    conditions = list(dict.fromkeys(r.condition for r in report.results))
    worst = []
    for condition in conditions:
        found = report.of(condition)
        mean = sum(r.auroc for r in found) / len(found)
        lowest = min(found, key=lambda r: r.auroc)
        balanced = sum(r.balanced_accuracy for r in found) / len(found)
        accused = max((r.accused_rate for r in found if r.accused_rate is not None), default=None)
        worst.append(
            (
                condition,
                f"{mean:.3f}",
                f"{lowest.auroc:.3f}",
                printable(lowest.source),
                percent(balanced),
                percent(accused),
            )
        )
    heads = ("condition", "mean auroc", "lowest", "of", "mean balanced", "most called positive")
    parts.append(table("the same after images are saved again", heads, worst))
    return [*parts, *(f"note: {printable(reason)}" for reason in report.untold)]


def _ends(ends: tuple[float, float] | None) -> str:
    return "" if ends is None else f"{ends[0]:.3f} to {ends[1]:.3f}"
