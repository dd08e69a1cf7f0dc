"""Plots of probabilities: reliability before and after calibration, and risk against coverage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from facevalue.evidence.records import CalibrationReport, Evaluation, ProbabilityFigures
from facevalue.reports.plots.drawing import INK, PALETTE, dress, legend, new_figure
from facevalue.support.formats import percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def calibration(report: CalibrationReport) -> Figure:
    """Reliability diagrams before and after calibration: one panel per condition.

    The area of a point is the share of the images in its bin. On the diagonal, probability and accuracy are equal.
    """
    columns = min(4, len(report.conditions))
    rows = -(-len(report.conditions) // columns)
    figure = new_figure(0.6 + 2.5 * columns, 0.7 + 2.6 * rows)
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    least = 1 / len(report.classes)
    for axis, one in zip(panels, report.conditions, strict=False):
        axis.plot([least, 1], [100 * least, 100], color=INK, alpha=0.5, linestyle="--", linewidth=1.2)
        _points(axis, one.before, 1, "before", one.n)
        _points(axis, one.after, 0, "after", one.n)
        axis.set_title(f"{one.condition}\n{percent(one.before.ece)} → {percent(one.after.ece)}", fontsize=10, color=INK)
        dress(axis, "probability", "accuracy (%)" if axis is panels[0] else "")
        axis.set(ylim=(-3, 103))
    for axis in panels[len(report.conditions) :]:
        axis.set_visible(False)
    legend(panels[0], loc="upper left")
    return figure


def _points(axis: Axes, figures: ProbabilityFigures, colour: int, name: str, n: int) -> None:
    bins = figures.reliability
    x, y = [b.confidence for b in bins], [100 * b.accuracy for b in bins]
    axis.plot(x, y, color=PALETTE[colour], alpha=0.5, linewidth=1.2)
    sizes = [6 + 160 * b.n / n for b in bins]
    axis.scatter(x, y, s=sizes, color=PALETTE[colour], alpha=0.75, linewidths=0, label=f" {name}")


def risk_coverage(report: Evaluation) -> Figure:
    """Error among answers by the share of images answered, the most certain first; a dot at the model's own limits."""
    figure = new_figure(5.2, 3.4)
    axis = figure.subplots()
    x, y = [100 * c for c, _ in report.risk_coverage], [100 * r for _, r in report.risk_coverage]
    axis.plot(x, y, color=PALETTE[0], linewidth=1.8, label=" most certain first")
    if report.accuracy_answered is not None:
        own = [100 * report.coverage], [100 * (1 - report.accuracy_answered)]
        axis.plot(*own, color=PALETTE[1], marker="o", linestyle="none", label=" this model")
    axis.set(xlim=(0, 102), ylim=(0, max(1.0, 1.15 * max(y))))
    dress(axis, "images answered (%)", "error among answers (%)")
    legend(axis)
    return figure
