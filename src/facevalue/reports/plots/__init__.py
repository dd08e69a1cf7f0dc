"""Plots of a card's records. Every function returns a new :class:`matplotlib.figure.Figure`."""

from facevalue.reports.plots.calibration import calibration, risk_coverage
from facevalue.reports.plots.drawing import INK, PALETTE, save_png, to_svg
from facevalue.reports.plots.drawn_once import svg_of
from facevalue.reports.plots.evaluation import (
    accuracy_against_eps,
    certified_curve,
    confusion,
    corruption_curves,
    reliability,
)
from facevalue.reports.plots.training import compare_curves, history, main_phase, trials

__all__ = [
    "INK",
    "PALETTE",
    "accuracy_against_eps",
    "calibration",
    "certified_curve",
    "compare_curves",
    "confusion",
    "corruption_curves",
    "history",
    "main_phase",
    "reliability",
    "risk_coverage",
    "save_png",
    "svg_of",
    "to_svg",
    "trials",
]
