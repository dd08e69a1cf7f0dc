"""Plots of a training, of several trainings, and of a search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from facevalue.reports.plots.drawing import INK, PALETTE, STYLES, decades, dress, legend, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Lines = Sequence[Mapping[str, Any]]


def main_phase(lines: Lines) -> Lines:
    """The epochs of a history that begins with a probe of several strengths; else all lines."""
    epochs = [line for line in lines if "strength" not in line]
    return epochs or lines


def history(lines: Lines) -> Figure:
    """Loss and accuracy by epoch, on train and validation.

    Parameters
    ----------
    lines : of ``history.jsonl``. ``train_loss``, ``validation_loss``, ``train_accuracy`` and ``validation_accuracy``
        are drawn if present. A probe has no epochs; its lines are drawn by regularisation strength. A probe before
        epochs is left out.
    """
    lines = main_phase(lines)
    figure = new_figure(7.6, 3.1)
    axes = figure.subplots(1, 2)
    x, label = _steps(lines)
    for axis, key, name, scale in ((axes[0], "loss", "loss (nats)", 1), (axes[1], "accuracy", "accuracy (%)", 100)):
        for i, split in enumerate(("train", "validation")):
            _curve(axis, x, lines, f"{split}_{key}", scale, color=PALETTE[i], linestyle=STYLES[i], label=split)
        attacked = f"validation_robust_{key}"  # only in adversarial training
        _curve(axis, x, lines, attacked, scale, color=PALETTE[2], linestyle=STYLES[2], label="validation, attacked")
        dress(axis, label, name)
        _x_axis(axis, x, label)
        legend(axis)
    return figure


def compare_curves(runs: Mapping[str, Lines]) -> Figure:
    """Loss and accuracy of several models: one colour per model, validation solid and train dotted.

    Epochs and the strengths of a probe are different things, so they have axes of their own, one row each.

    Parameters
    ----------
    runs : history lines by model name.
    """
    runs = {name: main_phase(lines) for name, lines in runs.items()}
    steps = {name: _steps(lines) for name, lines in runs.items()}
    kinds = list(dict.fromkeys(label for _, label in steps.values()))
    figure = new_figure(9.2, 0.6 + 3.0 * max(1, len(kinds)) + 0.16 * len(runs))
    rows = figure.subplots(max(1, len(kinds)), 2, squeeze=False)
    for axes, kind in zip(rows, kinds, strict=False):
        for i, (name, lines) in enumerate(runs.items()):
            x, label = steps[name]
            if label != kind:
                continue
            colour = PALETTE[i % len(PALETTE)]
            for axis, key, scale in ((axes[0], "loss", 1), (axes[1], "accuracy", 100)):
                _curve(axis, x, lines, f"validation_{key}", scale, color=colour, linestyle="-", label=f" {name}")
                _curve(axis, x, lines, f"train_{key}", scale, color=colour, linestyle=":", label="")
                _x_axis(axis, x, label)
        for axis, figure_name in ((axes[0], "loss (nats)"), (axes[1], "accuracy (%)")):
            dress(axis, kind, figure_name)
    title = "solid, o: validation; dotted, x: train"
    legend([axes[0] for axes in rows], figure, loc="outside lower center", ncols=2, title=title, title_fontsize=9)
    return figure


def trials(
    rows: Lines,
    searched: Sequence[str],
    logarithmic: Sequence[str] = (),
    choices: Mapping[str, Sequence[Any]] | None = None,
) -> Figure:
    """Validation loss of a study: by trial, with the lowest so far, then by the value of each setting.

    Parameters
    ----------
    rows : ``number``, ``state``, ``validation_loss`` and ``settings`` of each trial.
    searched : the settings; the first seven get a panel each.
    logarithmic : settings searched on a logarithmic scale.
    choices : the possible values of each categorical setting.
    """
    choices = choices or {}
    keys = searched[:7]
    columns = min(4, 1 + len(keys))
    down = -(-(1 + len(keys)) // columns)
    figure = new_figure(3.1 * columns, 2.9 * down)
    panels = figure.subplots(down, columns, squeeze=False, sharey=True).ravel()
    done = [row for row in rows if row["state"] == "complete"]
    losses = [row["validation_loss"] for row in done]
    first = panels[0]
    first.plot([row["number"] for row in done], losses, "o", color=PALETTE[0], markersize=4, label="trial")
    lowest = [min(losses[: i + 1]) for i in range(len(losses))]
    first.step([row["number"] for row in done], lowest, where="post", color=PALETTE[1], label="lowest so far")
    pruned = [row["number"] for row in rows if row["state"] == "pruned"]
    if pruned and losses:
        first.plot(pruned, [max(losses)] * len(pruned), "x", color=INK, alpha=0.5, markersize=5, label="stopped early")
    dress(first, "trial", "validation loss (nats)")
    _x_axis(first, [], "epoch")
    legend(first)
    for axis, key in zip(panels[1:], keys, strict=False):
        values = [row["settings"][key] for row in done]
        numbers = key not in choices
        names = [] if numbers else list(dict.fromkeys(str(v) for v in choices[key]))
        x = values if numbers else [names.index(str(v)) for v in values]
        axis.plot(x, losses, "o", color=PALETTE[0], markersize=4)
        dress(axis, key)
        if names:
            axis.set_xticks(range(len(names)), names, fontsize=8)
            axis.set_xlim(-0.5, len(names) - 0.5)
        elif key in logarithmic:
            decades(axis, values)
    for axis in panels[1 + len(keys) :]:
        axis.set_visible(False)
    return figure


def _steps(lines: Lines) -> tuple[list[float], str]:
    """The x position of each line, and the label of the x axis."""
    if lines and all("strength" in line for line in lines):
        return [float(line["strength"]) for line in lines], "inverse regularisation strength tried"
    # Counted here: in a run of several phases, each may number its epochs from 1.
    return [float(i) for i in range(1, len(lines) + 1)], "epoch"


def _x_axis(axis: Axes, x: Sequence[float], label: str) -> None:
    if label == "epoch":
        from matplotlib.ticker import MaxNLocator

        axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    elif x and min(x) > 0:
        decades(axis, x)


def _curve(axis: Axes, x: Sequence[float], lines: Lines, key: str, scale: float, **style: Any) -> None:
    points = [(at, scale * line[key]) for at, line in zip(x, lines, strict=True) if line.get(key) is not None]
    if points:
        # With a single point, dotted and solid lines differ only in the marker.
        shape = "x" if style.get("linestyle") == ":" else "o"
        axis.plot(
            *zip(*points, strict=True),
            marker=shape if len(points) <= 25 else "",
            markersize=3.5,
            linewidth=1.8,
            **style,
        )
