"""Plots of records as SVG, drawn once in a process.

A model folder's report is written again whenever evidence is added to its card, and the plots of the evidence that it
had before are the same. Drawing them takes most of the time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec

from facevalue.reports.plots.drawing import to_svg

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class _ByContent:
    """What is drawn; equal to another of the same content."""

    content: bytes
    shown: Any = field(compare=False)


def svg_of(draw: Callable[[Any], Figure], shown: Any, label: str) -> str:
    """The SVG of :func:`~facevalue.reports.plots.drawing.to_svg` for the figure of ``draw(shown)``.

    Parameters
    ----------
    draw : a function of this package that depends on ``shown`` alone.
    shown : records, or other values that JSON can hold.
    """
    return _drawn(draw, _ByContent(msgspec.json.encode(shown), shown), label)


@lru_cache(maxsize=32)
def _drawn(draw: Callable[[Any], Figure], of: _ByContent, label: str) -> str:
    return to_svg(draw(of.shown), label)
