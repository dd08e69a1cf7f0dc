"""The common style of all plots, and saving them as files.

pyplot is not used, so no global state changes. Colours are from Okabe & Ito (2008), which people with any colour vision
can distinguish.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facevalue.errors import MissingExtraError
from facevalue.support import files

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#20242c"
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
STYLES = ("-", "--", "-.", ":")


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of this size in inches, with constrained layout."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("matplotlib", "train") from error
    return Figure(figsize=(width, height), layout="constrained")


def dress(axis: Axes, x: str = "", y: str = "") -> None:
    """Set labels, colours and a faint grid; remove the frame."""
    axis.set_xlabel(x, fontsize=10, color=INK)
    axis.set_ylabel(y, fontsize=10, color=INK)
    axis.tick_params(labelsize=9, colors=INK, length=3)
    axis.grid(True, color=INK, alpha=0.12, linewidth=0.8)
    axis.set_axisbelow(True)
    for side, spine in axis.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set(color=INK, alpha=0.5)


def legend(axes: Axes | Sequence[Axes], where: Axes | Figure | None = None, **placed: Any) -> None:
    """Draw the legend of one or several axes inside the first or in ``where``."""
    several = axes if isinstance(axes, Sequence) else [axes]
    handles: list[Artist] = []
    names: list[str] = []
    for axis in several:
        own_handles, own_names = axis.get_legend_handles_labels()
        handles += own_handles
        names += own_names
    if handles:
        legend = (where or several[0]).legend(handles, names, frameon=False, fontsize=9, labelcolor=INK, **placed)
        for text in legend.get_texts():
            text.set_parse_math(False)


def decades(axis: Axes, values: Sequence[float]) -> None:
    """Make the x axis logarithmic, with tick labels that fit the range of the values."""
    from matplotlib.ticker import LogLocator, NullFormatter

    axis.set_xscale("log")
    wide = len(values) > 0 and max(values) >= 100 * min(values)
    axis.xaxis.set_major_locator(LogLocator(subs=(1,) if wide else (1, 2, 5)))
    axis.xaxis.set_major_formatter("{x:g}")
    axis.xaxis.set_minor_formatter(NullFormatter())


def save_png(figure: Figure, path: Path) -> Path:
    """Write a PNG with a white background at 150 dots per inch, whole or not at all; returns ``path``."""
    with files.replacing_file(path) as partial, _quiet_about_glyphs():
        figure.savefig(partial, format="png", dpi=150, facecolor="white")
    return path


def to_svg(figure: Figure, label: str = "") -> str:
    """One ``<svg>`` element for an HTML page, with real text and without an XML header.

    The background is transparent and the lines have the page's text colour (``currentColor``), for light and dark
    pages; a page may set ``--plot-1``, ``--plot-2``, … for the palette. The same figure always gives the same text.

    Parameters
    ----------
    figure : made by a function of this package.
    label : text for screen readers.
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
    # The ids of groups repeat in every figure, and nothing refers to them.
    text = re.sub(r'<g id="[^"]*"', "<g", text)
    text = re.sub(
        r"\s*<defs>\s*<style.*?</style>\s*</defs>", "", text, flags=re.DOTALL
    )  # it would apply to the whole page
    text = re.sub(r"font-family: [^;\"]*", "font-family: inherit", text)
    text = text.replace(INK, "currentColor")
    for i, colour in enumerate(PALETTE, 1):
        text = text.replace(colour, f"var(--plot-{i}, {colour})")
    return text.replace("<svg ", f'<svg role="img" aria-label="{escape(label)}" stroke-linejoin="round" ', 1)


@contextmanager
def _quiet_about_glyphs() -> Iterator[None]:
    """No warning if the font lacks a script: such a class name is drawn as boxes."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from (current )?font")
        yield
