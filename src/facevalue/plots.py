"""Figures from the card's records, in one calm style.

Every function returns a :class:`matplotlib.figure.Figure` of its own: nothing here touches pyplot, so nothing is shown,
kept or shared. Colours are those of Okabe & Ito (2008), which people with any colour vision tell apart.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facevalue import files
from facevalue.errors import MissingExtraError
from facevalue.evidence import AttackFigures, AttackReport, CertificateReport, CorruptionReport, Report

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#20242c"
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_STYLES = ("-", "--", "-.", ":")
_FEW = 10  # pictures in a bar of the reliability diagram below which it says little

Lines = Sequence[Mapping[str, Any]]


def reliability(report: Report) -> Figure:
    """How often the model is right when it says how sure it is, and how many pictures it says that of.

    On the diagonal, a stated 80 % is right 80 times in 100 (DeGroot & Fienberg 1983; Guo et al. 2017,
    arXiv:1706.04599).
    """
    figure = _figure(5.2, 4.6)
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
    low, high = report.ece_ci
    top.text(
        0.03,
        0.95,
        f"calibration error {100 * report.ece:.1f} % ({100 * low:.1f} to {100 * high:.1f})\n"
        f"dashed: perfect; dotted bars: fewer than {_FEW} pictures",
        transform=top.transAxes,
        va="top",
        fontsize=9,
        color=INK,
    )
    top.set(xlim=(min([left, *(b.low for b in report.reliability)]), 1), ylim=(0, 130))
    top.set_yticks([0, 20, 40, 60, 80, 100])
    _dress(top, y="right (%)")
    _dress(below, "stated probability of the answer", "pictures")
    return figure


def history(lines: Lines) -> Figure:
    """Loss and accuracy by epoch, on train and validation.

    Parameters
    ----------
    lines : of ``history.jsonl``. ``train_loss``, ``validation_loss``, ``train_accuracy`` and ``validation_accuracy``
        are drawn where they are there. A probe has no epochs; its lines are drawn by the regularisation tried.
    """
    figure = _figure(7.6, 3.1)
    axes = figure.subplots(1, 2)
    x, label = _steps(lines)
    for axis, key, name, scale in ((axes[0], "loss", "loss (nats)", 1), (axes[1], "accuracy", "accuracy (%)", 100)):
        for i, split in enumerate(("train", "validation")):
            _curve(axis, x, lines, f"{split}_{key}", scale, color=PALETTE[i], linestyle=_STYLES[i], label=split)
        attacked = f"validation_robust_{key}"  # of adversarial training alone
        _curve(axis, x, lines, attacked, scale, color=PALETTE[2], linestyle=_STYLES[2], label="validation, attacked")
        _dress(axis, label, name)
        _x_axis(axis, x, label)
        _legend(axis)
    return figure


def compare_curves(runs: Mapping[str, Lines]) -> Figure:
    """Loss and accuracy of several models: a colour a model, validation solid and train dotted.

    Parameters
    ----------
    runs : history lines by the model's name.
    """
    figure = _figure(9.2, 3.6 + 0.16 * len(runs))
    axes = figure.subplots(1, 2)
    labels = set()
    for i, (name, lines) in enumerate(runs.items()):
        colour = PALETTE[i % len(PALETTE)]
        x, label = _steps(lines)
        labels.add(label)
        for axis, key, scale in ((axes[0], "loss", 1), (axes[1], "accuracy", 100)):
            _curve(axis, x, lines, f"validation_{key}", scale, color=colour, linestyle="-", label=f" {name}")
            _curve(axis, x, lines, f"train_{key}", scale, color=colour, linestyle=":", label="")
            if len(labels) == 1:
                _x_axis(axis, x, label)
    label = labels.pop() if len(labels) == 1 else "epoch, or regularisation strength tried"
    for axis, name in ((axes[0], "loss (nats)"), (axes[1], "accuracy (%)")):
        _dress(axis, label, name)
    title = "solid: validation; dotted: train"
    _legend(axes[0], figure, loc="outside lower center", ncols=2, title=title, title_fontsize=9)
    return figure


def confusion(matrix: Report | Sequence[Sequence[int]], classes: Sequence[str] = (), title: str = "") -> Figure:
    """Counts by truth (rows) and decision (columns); the shade is the share of the row.

    Parameters
    ----------
    matrix : a report, or (k, k) counts with ``classes`` beside them.
    classes : names by index; a report brings its own.
    title : above the figure.
    """
    rows, names = (matrix.confusion, matrix.classes) if isinstance(matrix, Report) else (matrix, classes)
    k = len(names)
    side = max(3.2, 0.62 * k + 1.8)
    figure = _figure(side + 0.4, side)
    axis = figure.subplots()
    shares = [[count / max(1, sum(row)) for count in row] for row in rows]
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1.15)  # past 1, so that black or white is readable on all shades
    for i, row in enumerate(rows):
        for j, count in enumerate(row):
            ink = "white" if shares[i][j] > 0.6 else INK
            text = f"{count:,}" if k > 6 else f"{count:,}\n{100 * shares[i][j]:.1f} %"
            axis.text(j, i, text, ha="center", va="center", color=ink, fontsize=9 if k > 6 else 10)
    _dress(axis, "decided as", "truly")
    axis.grid(False)
    axis.set_xticks(range(k), names, rotation=0 if k <= 3 else 40, ha="center" if k <= 3 else "right")
    axis.set_yticks(range(k), names)
    if title:
        axis.set_title(title, fontsize=11, color=INK, parse_math=False)
    for label in (*axis.get_xticklabels(), *axis.get_yticklabels()):
        label.set_parse_math(False)
    return figure


def accuracy_against_eps(report: AttackReport) -> Figure:
    """What is left of the accuracy as the attacker may change more: a curve an attack with its 95 % band.

    One panel a norm. For ``linf`` eps is in 255ths: how many of a pixel's 256 levels each channel may move.
    """
    norms = list(dict.fromkeys(r.norm for r in report.results))
    figure = _figure(0.8 + 4.6 * max(1, len(norms)), 3.6)
    panels = figure.subplots(1, max(1, len(norms)), squeeze=False)[0]
    right = sum(row[i] for i, row in enumerate(report.clean_confusion))
    clean = 100 * right / max(1, report.n)
    for axis, norm in zip(panels, norms, strict=False):
        unit = 255 if norm == "linf" else 1
        axis.axhline(clean, color=INK, linestyle=":", linewidth=1.4, label="clean pictures")
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
        where = "eps (of 255 levels, L∞)" if norm == "linf" else f"eps ({norm.upper()}, pixels in [0, 1])"
        _dress(axis, where, "accuracy (%)")
        _legend(axis)
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
    if x[0] > 0:  # without a change the attacked picture is the clean one
        x, y = [0, *x], [clean, *y]
    style = _STYLES[i % len(_STYLES)]
    axis.plot(x, y, color=colour, linestyle=style, marker="o", markersize=4, linewidth=1.8, label=f" {name}")


def trials(
    rows: Lines,
    searched: Sequence[str],
    logarithmic: Sequence[str] = (),
    choices: Mapping[str, Sequence[Any]] | None = None,
) -> Figure:
    """A study: the validation loss by trial with the lowest so far, then by the value of each setting.

    Parameters
    ----------
    rows : ``number``, ``state``, ``validation_loss`` and ``settings`` of each trial.
    searched : the settings, each with a panel of its own (the first seven).
    logarithmic : those of them that are searched by decades.
    choices : the values of those that are one of several.
    """
    choices = choices or {}
    keys = searched[:7]
    columns = min(4, 1 + len(keys))
    down = -(-(1 + len(keys)) // columns)
    figure = _figure(3.1 * columns, 2.9 * down)
    panels = figure.subplots(down, columns, squeeze=False, sharey=True).ravel()
    done = [row for row in rows if row["state"] == "complete"]
    losses = [row["validation_loss"] for row in done]
    first = panels[0]
    first.plot([row["number"] for row in done], losses, "o", color=PALETTE[0], markersize=4, label="trial")
    lowest = [min(losses[: i + 1]) for i in range(len(losses))]
    first.step([row["number"] for row in done], lowest, where="post", color=PALETTE[1], label="lowest so far")
    given_up = [row["number"] for row in rows if row["state"] == "pruned"]
    if given_up and losses:
        first.plot(given_up, [max(losses)] * len(given_up), "x", color=INK, alpha=0.5, markersize=5, label="given up")
    _dress(first, "trial", "validation loss (nats)")
    _x_axis(first, [], "epoch")
    _legend(first)
    for axis, key in zip(panels[1:], keys, strict=False):
        values = [row["settings"][key] for row in done]
        numbers = key not in choices
        names = [] if numbers else list(dict.fromkeys(str(v) for v in choices[key]))
        x = values if numbers else [names.index(str(v)) for v in values]
        axis.plot(x, losses, "o", color=PALETTE[0], markersize=4)
        _dress(axis, key)
        if names:
            axis.set_xticks(range(len(names)), names, fontsize=8)
            axis.set_xlim(-0.5, len(names) - 0.5)
        elif key in logarithmic:
            _decades(axis, values)
    for axis in panels[1 + len(keys) :]:
        axis.set_visible(False)
    return figure


def corruption_curves(report: CorruptionReport) -> Figure:
    """What is left of the accuracy under everyday damage: a panel a kind, from mild to severe, with 95 % bands."""
    kinds = list(dict.fromkeys(r.corruption for r in report.results))
    columns = min(4, max(1, len(kinds)))
    rows = -(-len(kinds) // columns)
    figure = _figure(0.6 + 2.5 * columns, 0.4 + 2.1 * rows)
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
        _dress(axis, of_kind[0].unit, "accuracy (%)" if axis is panels[0] else "")
    for axis in panels[len(kinds) :]:
        axis.set_visible(False)
    return figure


def certified_curve(reports: Sequence[CertificateReport]) -> Figure:
    """Accuracy that is proven against every change up to an L2 radius, with its 95 % band: a curve a sigma."""
    figure = _figure(5.4, 3.6)
    axis = figure.subplots()
    for i, report in enumerate(reports):
        x = [c.radius for c in report.curve]
        low, high = zip(*((100 * c.accuracy_ci[0], 100 * c.accuracy_ci[1]) for c in report.curve), strict=True)
        colour = PALETTE[i % len(PALETTE)]
        axis.fill_between(x, low, high, color=colour, alpha=0.16, linewidth=0)
        y = [100 * c.accuracy for c in report.curve]
        axis.plot(x, y, color=colour, linestyle=_STYLES[i % len(_STYLES)], label=f" sigma {report.sigma:g}")
    axis.set(ylim=(-3, 103), xlim=(0, None))
    _dress(axis, "L2 radius, pixels in [0, 1]", "certified accuracy (%)")
    _legend(axis)
    return figure


def _decades(axis: Axes, values: Sequence[float]) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter

    axis.set_xscale("log")
    wide = len(values) > 0 and max(values) >= 100 * min(values)
    axis.xaxis.set_major_locator(LogLocator(subs=(1,) if wide else (1, 2, 5)))
    axis.xaxis.set_major_formatter("{x:g}")
    axis.xaxis.set_minor_formatter(NullFormatter())


def save_png(figure: Figure, path: Path) -> Path:
    """Write a PNG with a white ground at 150 dots an inch, whole or not at all; returns ``path``."""
    with files.replacing_file(path) as partial, _quiet_about_glyphs():
        figure.savefig(partial, format="png", dpi=150, facecolor="white")
    return path


def to_svg(figure: Figure, label: str = "") -> str:
    """One ``<svg>`` element to stand inside a page, without XML header, with real text.

    The ground is transparent and the ink is the page's own (``currentColor``), so that it can be read in light and
    dark; a page may set ``--plot-1``, ``--plot-2``, … for the palette. The same figure gives the same text.

    Parameters
    ----------
    figure : any of this module's.
    label : what a screen reader says.
    """
    import matplotlib as mpl

    buffer = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "facevalue"}), _quiet_about_glyphs():
        figure.savefig(
            buffer, format="svg", transparent=True, metadata=dict.fromkeys(("Creator", "Date", "Format", "Type"))
        )
    text = buffer.getvalue()
    text = text[text.index("<svg") :].strip()
    text = re.sub(r"\s*<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    # Ids of groups repeat from figure to figure, and nothing refers to them.
    text = re.sub(r'<g id="[^"]*"', "<g", text)
    text = re.sub(
        r"\s*<defs>\s*<style.*?</style>\s*</defs>", "", text, flags=re.DOTALL
    )  # would hold for the whole page
    text = re.sub(r"font-family: [^;\"]*", "font-family: inherit", text)
    text = text.replace(INK, "currentColor")
    for i, colour in enumerate(PALETTE, 1):
        text = text.replace(colour, f"var(--plot-{i}, {colour})")
    return text.replace("<svg ", f'<svg role="img" aria-label="{escape(label)}" stroke-linejoin="round" ', 1)


def _figure(width: float, height: float) -> Figure:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("matplotlib", "train") from error
    return Figure(figsize=(width, height), layout="constrained")


def _dress(axis: Axes, x: str = "", y: str = "") -> None:
    axis.set_xlabel(x, fontsize=10, color=INK)
    axis.set_ylabel(y, fontsize=10, color=INK)
    axis.tick_params(labelsize=9, colors=INK, length=3)
    axis.grid(True, color=INK, alpha=0.12, linewidth=0.8)
    axis.set_axisbelow(True)
    for side, spine in axis.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set(color=INK, alpha=0.5)


def _legend(axis: Axes, where: Axes | Figure | None = None, **placed: Any) -> None:
    """The curves of ``axis`` by name, drawn inside it or at ``where``."""
    handles, names = axis.get_legend_handles_labels()
    if handles:
        legend = (where or axis).legend(handles, names, frameon=False, fontsize=9, labelcolor=INK, **placed)
        for text in legend.get_texts():
            text.set_parse_math(False)


def _steps(lines: Lines) -> tuple[list[float], str]:
    """Where each line stands on the x axis, and what that axis is."""
    if lines and all("strength" in line for line in lines):
        return [float(line["strength"]) for line in lines], "inverse regularisation strength tried"
    # Counted, not read: a run of several phases may number each from its own beginning.
    return [float(i) for i in range(1, len(lines) + 1)], "epoch"


def _x_axis(axis: Axes, x: Sequence[float], label: str) -> None:
    if label == "epoch":
        from matplotlib.ticker import MaxNLocator

        axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    elif x and min(x) > 0:
        axis.set_xscale("log")


def _curve(axis: Axes, x: Sequence[float], lines: Lines, key: str, scale: float, **style: Any) -> None:
    points = [(at, scale * line[key]) for at, line in zip(x, lines, strict=True) if line.get(key) is not None]
    if points:
        marker = "o" if len(points) <= 25 else ""
        axis.plot(*zip(*points, strict=True), marker=marker, markersize=3.5, linewidth=1.8, **style)


@contextmanager
def _quiet_about_glyphs() -> Iterator[None]:
    """A class name in a script that the font lacks is drawn as boxes; that is no reason to speak to the user."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from (current )?font")
        yield
