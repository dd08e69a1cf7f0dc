"""Plots of evaluations, attacks, corruptions and certificates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from facevalue.evidence.records import AttackFigures, AttackReport, CertificateReport, CorruptionReport, Evaluation
from facevalue.reports.plots.drawing import INK, PALETTE, STYLES, dress, legend, new_figure
from facevalue.support.formats import interval, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_NUMBERED = 20  # classes with numbers in the cells of a confusion matrix
_FEW = 10  # bars of the reliability diagram with fewer images are drawn dotted


def reliability(report: Evaluation) -> Figure:
    """Reliability diagram: accuracy by confidence, and the number of images in each bin.

    On the diagonal, predictions with a probability of 80 % are correct in 80 % of cases (DeGroot & Fienberg 1983; Guo
    et al. 2017, arXiv:1706.04599).
    """
    figure = new_figure(5.2, 4.6)
    top, below = figure.subplots(2, 1, sharex=True, height_ratios=(3.2, 1))
    left = 1 / len(report.classes)
    for bar in report.reliability:
        few = bar.n < _FEW
        top.bar(
            (bar.low + bar.high) / 2,
            100 * bar.accuracy,
            width=0.92 * (bar.high - bar.low),
            color="none" if few else PALETTE[0],
            edgecolor=PALETTE[0],
            linewidth=1,
            linestyle=":" if few else "-",
        )
        below.bar((bar.low + bar.high) / 2, bar.n, width=0.92 * (bar.high - bar.low), color=INK, alpha=0.35)
    top.plot([left, 1], [100 * left, 100], color=PALETTE[1], linestyle="--", linewidth=1.5)
    top.plot(
        [bar.confidence for bar in report.reliability],
        [100 * bar.accuracy for bar in report.reliability],
        color=PALETTE[1],
        marker="o",
        markersize=4,
        linestyle="none",
    )
    top.text(
        0.03,
        0.95,
        f"calibration error {percent(report.ece)} ({interval(report.ece_ci)})\n"
        f"dashed: perfect; dotted bars: fewer than {_FEW} images",
        transform=top.transAxes,
        va="top",
        fontsize=9,
        color=INK,
    )
    top.set(xlim=(min([left, *(b.low for b in report.reliability)]), 1), ylim=(0, 130))
    top.set_yticks([0, 20, 40, 60, 80, 100])
    dress(top, y="accuracy (%)")
    dress(below, "probability of the predicted class", "images")
    return figure


def confusion(matrix: Evaluation | Sequence[Sequence[int]], classes: Sequence[str] = (), title: str = "") -> Figure:
    """Confusion matrix: counts by true class (rows) and predicted class (columns), coloured by the share of the row.

    With more than 20 classes the cells have no numbers and only some classes are named, so that it stays readable.

    Parameters
    ----------
    matrix : an evaluation, or (k, k) counts together with ``classes``.
    classes : names by index; not needed for an evaluation.
    title : above the plot.
    """
    rows, names = (matrix.confusion, matrix.classes) if isinstance(matrix, Evaluation) else (matrix, classes)
    k = len(names)
    side = max(3.2, 0.62 * min(k, _NUMBERED) + 1.8)
    figure = new_figure(side + 0.4, side)
    axis = figure.subplots()
    shares = [[count / max(1, sum(row)) for count in row] for row in rows]
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1.15)  # past 1, so that black or white is readable on all shades
    for i, row in enumerate(rows):
        for j, count in enumerate(row if k <= _NUMBERED else ()):
            ink = "white" if shares[i][j] > 0.6 else INK
            text = f"{count:,}" if k > 6 else f"{count:,}\n{percent(shares[i][j])}"
            axis.text(j, i, text, ha="center", va="center", color=ink, fontsize=9 if k > 6 else 10)
    dress(axis, "predicted", "true")
    axis.grid(False)
    shown = range(0, k, -(-k // _NUMBERED))
    labels = [names[i] for i in shown]
    axis.set_xticks(shown, labels, rotation=0 if k <= 3 else 40, ha="center" if k <= 3 else "right")
    axis.set_yticks(shown, labels)
    if title:
        axis.set_title(title, fontsize=11, color=INK, parse_math=False)
    for label in (*axis.get_xticklabels(), *axis.get_yticklabels()):
        label.set_parse_math(False)
    return figure


def accuracy_against_eps(report: AttackReport) -> Figure:
    """Accuracy under attack by eps: one panel per norm, one curve per attack with its 95 % band.

    For ``linf``, eps is in 255ths: 4/255 means that each value of a pixel may change by four of its 256 levels.
    """
    norms = list(dict.fromkeys(r.norm for r in report.results))
    figure = new_figure(0.8 + 4.6 * max(1, len(norms)), 3.6)
    panels = figure.subplots(1, max(1, len(norms)), squeeze=False)[0]
    right = sum(row[i] for i, row in enumerate(report.clean_confusion))
    clean = 100 * right / max(1, report.n)
    for axis, norm in zip(panels, norms, strict=False):
        unit = 255 if norm == "linf" else 1
        axis.axhline(clean, color=INK, linestyle=":", linewidth=1.4, label="clean images")
        curves: dict[str, list[AttackFigures]] = {}
        for row in sorted((r for r in report.results if r.norm == norm), key=lambda r: r.eps):
            curves.setdefault(_attack_name(row), []).append(row)
        for i, (name, rows) in enumerate(curves.items()):
            _eps_curve(axis, rows, unit, clean, i, name)
        noise = sorted((r for r in report.noise if r.norm == norm), key=lambda r: r.eps)
        if noise:
            x, y = [unit * r.eps for r in noise], [100 * r.accuracy for r in noise]
            axis.plot(x, y, color=INK, alpha=0.55, linestyle="-", marker="x", linewidth=1.2, label="random noise")
        axis.set(ylim=(-3, 103), xlim=(0, None))
        if norm == "linf":
            axis.xaxis.set_major_formatter(lambda levels, _: f"{levels:g}/255" if levels else "0")
        name = "L∞" if norm == "linf" else norm.upper()
        dress(axis, f"eps ({name}, pixels in [0, 1])", "accuracy (%)")
        legend(axis)
    return figure


def _attack_name(row: AttackFigures) -> str:
    if row.defense is None:
        return row.attack
    return f"{row.attack} {'through' if row.adaptive else 'ignoring'} {row.defense}"


def _eps_curve(axis: Axes, rows: Sequence[AttackFigures], unit: int, clean: float, i: int, name: str) -> None:
    x = [unit * row.eps for row in rows]
    y = [100 * row.robust_accuracy for row in rows]
    colour = PALETTE[i % len(PALETTE)]
    low, high = zip(*((100 * row.robust_ci[0], 100 * row.robust_ci[1]) for row in rows), strict=True)
    axis.fill_between(x, low, high, color=colour, alpha=0.16, linewidth=0)
    if x[0] > 0:  # at eps 0 the attacked image is the clean one
        x, y = [0, *x], [clean, *y]
    style = STYLES[i % len(STYLES)]
    axis.plot(x, y, color=colour, linestyle=style, marker="o", markersize=4, linewidth=1.8, label=f" {name}")


def corruption_curves(report: CorruptionReport) -> Figure:
    """Accuracy under everyday corruptions: one panel per corruption, from mild to severe, with 95 % bands."""
    kinds = list(dict.fromkeys(r.corruption for r in report.results))
    columns = min(4, max(1, len(kinds)))
    rows = -(-len(kinds) // columns)
    figure = new_figure(0.6 + 2.5 * columns, 0.4 + 2.1 * rows)
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    for axis, kind in zip(panels, kinds, strict=False):
        of_kind = [r for r in report.results if r.corruption == kind]
        x = range(1, len(of_kind) + 1)
        low, high = zip(*((100 * r.accuracy_ci[0], 100 * r.accuracy_ci[1]) for r in of_kind), strict=True)
        axis.axhline(100 * report.clean_accuracy, color=INK, linestyle=":", linewidth=1.4)
        axis.fill_between(x, low, high, color=PALETTE[0], alpha=0.16, linewidth=0)
        axis.plot(x, [100 * r.accuracy for r in of_kind], color=PALETTE[0], marker="o", markersize=4, linewidth=1.8)
        axis.set(ylim=(-3, 103))
        axis.set_xticks(list(x), [f"{r.strength:g}" for r in of_kind])
        axis.set_title(kind, fontsize=10, color=INK)
        dress(axis, of_kind[0].unit, "accuracy (%)" if axis is panels[0] else "")
    for axis in panels[len(kinds) :]:
        axis.set_visible(False)
    return figure


def certified_curve(reports: Sequence[CertificateReport]) -> Figure:
    """Certified accuracy by L2 radius: one curve per sigma, with its 95 % band."""
    figure = new_figure(5.4, 3.6)
    axis = figure.subplots()
    for i, report in enumerate(reports):
        x = [c.radius for c in report.curve]
        low, high = zip(*((100 * c.accuracy_ci[0], 100 * c.accuracy_ci[1]) for c in report.curve), strict=True)
        colour = PALETTE[i % len(PALETTE)]
        axis.fill_between(x, low, high, color=colour, alpha=0.16, linewidth=0)
        y = [100 * c.accuracy for c in report.curve]
        axis.plot(x, y, color=colour, linestyle=STYLES[i % len(STYLES)], label=f" sigma {report.sigma:g}")
    axis.set(ylim=(-3, 103), xlim=(0, None))
    dress(axis, "L2 radius, pixels in [0, 1]", "certified accuracy (%)")
    legend(axis)
    return figure
