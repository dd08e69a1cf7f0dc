"""Draws a sheet of attacked images: original, magnified perturbation, adversarial image, with both predictions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from facevalue.robustness.attacks.examples import Example
from facevalue.robustness.attacks.threat import Threat
from facevalue.support import files
from facevalue.support.formats import percent

CELL = 224
_GAP, _TITLE, _CAPTION = 12, 24, 24
_INK, _RED, _PAPER = (32, 32, 32), (176, 32, 32), (255, 255, 255)


def draw_sheet(examples: Sequence[Example], path: Path) -> Path:
    """Write the examples as one PNG, one row each: three images with a title above and captions below.

    Without examples the sheet says that no attack succeeded.
    """
    row_height = _TITLE + CELL + _CAPTION + _GAP
    sheet = Image.new("RGB", (4 * _GAP + 3 * CELL, _GAP + max(_TITLE, len(examples) * row_height)), _PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=14)
    if not examples:
        draw.text((_GAP, _GAP), "no attack succeeded on an image", _INK, font)
    for i, example in enumerate(examples):
        top = _GAP + i * row_height
        title = f"{example.attack}, {Threat(example.norm, example.eps)}: an image of {example.label}"
        draw.text((_GAP, top), _fitting(draw, title, font, 3 * CELL), _INK, font)
        cells = (
            (example.original, f"{example.clean_decision} {percent(example.clean_probability)}", _INK),
            (example.perturbation, f"perturbation x {example.magnified:.3g}", _INK),
            (example.adversarial, f"{example.decision} {percent(example.probability)}", _RED),
        )
        for j, (pixels, caption, ink) in enumerate(cells):
            left = _GAP + j * (CELL + _GAP)
            sheet.paste(_cell(pixels), (left, top + _TITLE))
            draw.text((left, top + _TITLE + CELL + 4), _fitting(draw, caption, font, CELL), ink, font)
    with files.replacing_file(path) as partial:
        sheet.save(partial, format="PNG")
    return path


def _cell(pixels: NDArray[np.uint8]) -> Image.Image:
    # Small network inputs are enlarged without smoothing, so that the perturbation stays exact.
    resample = Image.Resampling.NEAREST if len(pixels) <= CELL else Image.Resampling.LANCZOS
    return Image.fromarray(pixels).resize((CELL, CELL), resample)


def _fitting(
    draw: ImageDraw.ImageDraw, text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int
) -> str:
    """``text``, shortened in the middle if it is wider than ``width`` pixels."""
    if draw.textlength(text, font) <= width:
        return text
    keep = len(text) - 1
    while keep > 2 and draw.textlength(text[: keep // 2] + "..." + text[-(keep // 2) :], font) > width:
        keep -= 1
    return text[: keep // 2] + "..." + text[-(keep // 2) :]
