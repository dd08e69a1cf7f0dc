"""Draws heat over images, and sheets of panels with captions."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from facevalue.images.face_crop import FaceBox
from facevalue.images.resize import Box, thumbnail

INK, PAPER, QUIET = (27, 31, 40), (255, 255, 255), (96, 104, 118)
MARGIN = 12
SMALLEST = 288
"""Network inputs with a smaller side (in pixels) are enlarged for display."""


def overlay(pixels: NDArray[np.uint8], heat: NDArray[np.floating], strength: float = 0.7) -> NDArray[np.uint8]:
    """Overlay heat on an image. Colour and opacity grow with the heat, so cold regions show the image itself.

    Parameters
    ----------
    pixels : (s, s, 3) uint8 RGB network input.
    heat : (s, s) in [0, 1].
    strength : opacity of the hottest region, in [0, 1].

    Returns
    -------
    (s, s, 3) uint8 RGB.

    >>> red = np.full((8, 8, 3), (200, 0, 0), np.uint8)
    >>> bool((overlay(red, np.zeros((8, 8))) == red).all())
    True
    """
    alpha = strength * np.sqrt(heat)[..., None]  # the root keeps mild heat visible
    mixed: NDArray[np.uint8] = np.round(pixels * (1 - alpha) + coloured(heat, "turbo") * alpha).astype(np.uint8)
    return mixed


@dataclass(frozen=True)
class FacePlace:
    """Where in an image the network input comes from.

    Attributes
    ----------
    image : the whole image, upright, perhaps scaled down.
    crop : left, top, right and bottom of the part that the network sees, in pixels of ``image``.
    box : the same of the face.
    face : left, top, width and height of the face, in pixels of the image before it was scaled down.
    """

    image: Image.Image
    crop: Box
    box: Box
    face: FaceBox

    @classmethod
    def of(cls, image: Image.Image, crop: tuple[int, int, int, int], face: FaceBox, longest: int = 640) -> FacePlace:
        """The place of a crop, in pixels of ``image``, with the image scaled down to ``longest`` pixels."""
        small = thumbnail(image, longest, Image.Resampling.BICUBIC)
        x, y = small.width / image.width, small.height / image.height
        left, top, width, height = face
        box = (left * x, top * y, (left + width) * x, (top + height) * y)
        return cls(small, (crop[0] * x, crop[1] * y, crop[2] * x, crop[3] * y), box, face)


def on_whole_image(place: FacePlace, heat: NDArray[np.floating]) -> Image.Image:
    """The whole image with the heat where it belongs, and the face outlined."""
    left, top, right, bottom = (round(at) for at in place.crop)
    fine = Image.fromarray(heat.astype(np.float32)).resize((right - left, bottom - top), Image.Resampling.BILINEAR)
    there = np.zeros((place.image.height, place.image.width), np.float32)
    there[top:bottom, left:right] = np.clip(np.asarray(fine), 0, 1)
    drawn = Image.fromarray(overlay(np.asarray(place.image), there))
    ImageDraw.Draw(drawn).rectangle(place.box, outline=PAPER, width=max(2, max(drawn.size) // 200))
    return drawn


def coloured(values: NDArray[np.floating], colours: str) -> NDArray[np.uint8]:
    """(..., 3) uint8 RGB of values in [0, 1], by one of matplotlib's colour maps."""
    index = np.round(np.clip(values, 0, 1) * 255).astype(np.intp)
    rgb: NDArray[np.uint8] = _table(colours)[index]
    return rgb


@lru_cache
def _table(colours: str) -> NDArray[np.uint8]:
    import matplotlib as mpl

    rgba = np.asarray(mpl.colormaps[colours].resampled(256)(np.arange(256)))
    table: NDArray[np.uint8] = np.round(rgba[:, :3] * 255).astype(np.uint8)
    return table


def side_by_side(
    pixels: NDArray[np.uint8],
    heat: NDArray[np.floating],
    caption: str,
    quiet: str = "",
    place: FacePlace | None = None,
) -> Image.Image:
    """The network input, beside it with the heat overlaid, and a caption below.

    Parameters
    ----------
    pixels : (s, s, 3) uint8 RGB network input.
    heat : (s, s) in [0, 1].
    caption : the prediction and its probability.
    quiet : a second line, in grey.
    place : of a crop in its image; the whole image is then drawn as well.
    """
    panels = [enlarged(pixels), enlarged(overlay(pixels, heat))]
    if place is not None:
        panels.append(_fitted(on_whole_image(place, heat), panels[0].width))
    return sheet(panels, columns=len(panels), caption=caption, quiet=quiet)


def sheet(panels: Sequence[Image.Image], columns: int, caption: str, quiet: str = "", gap: int = MARGIN) -> Image.Image:
    """Panels of equal size on white, row by row, with a wrapped caption and a grey line below.

    Parameters
    ----------
    panels : at least one, all of the same size.
    columns : panels per row.
    caption, quiet : the lines below; each may be empty.
    gap : space between panels in pixels.
    """
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    width, height = panels[0].size
    inner = columns * width + (columns - 1) * gap
    lines = [*_wrapped(caption, 16, inner, INK), *_wrapped(quiet, 13, inner, QUIET)]
    text_height = sum(size + 8 for _, size, _ in lines)
    body = rows * height + (rows - 1) * gap
    whole = Image.new("RGB", (inner + 2 * MARGIN, body + 2 * MARGIN + text_height), PAPER)
    for i, panel in enumerate(panels):
        row, column = divmod(i, columns)
        whole.paste(panel, (MARGIN + column * (width + gap), MARGIN + row * (height + gap)))
    draw = ImageDraw.Draw(whole)
    top = MARGIN + body + 8
    for text, size, colour in lines:
        draw.text((MARGIN, top), text, fill=colour, font=font(size))
        top += size + 8
    return whole


@lru_cache
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font, so that a sheet looks the same on every machine."""
    return ImageFont.load_default(size)


def _wrapped(
    text: str, size: int, width: int, colour: tuple[int, int, int]
) -> list[tuple[str, int, tuple[int, int, int]]]:
    letters = max(8, int(width / (0.55 * size)))
    return [(line, size, colour) for line in textwrap.wrap(text, letters)]


def _fitted(image: Image.Image, side: int) -> Image.Image:
    """The image scaled to fit into a white square."""
    scale = side / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    square = Image.new("RGB", (side, side), PAPER)
    square.paste(image.resize(size, Image.Resampling.BICUBIC), ((side - size[0]) // 2, (side - size[1]) // 2))
    return square


def labelled(image: Image.Image, label: str, quiet: str) -> Image.Image:
    """The image with a line of text below, and a grey one below that."""
    panel = Image.new("RGB", (image.width, image.height + 34), PAPER)
    panel.paste(image, (0, 0))
    draw = ImageDraw.Draw(panel)
    draw.text((0, image.height + 3), label, fill=INK, font=font(12))
    draw.text((0, image.height + 18), quiet, fill=QUIET, font=font(11))
    return panel


def enlarged(pixels: NDArray[np.uint8]) -> Image.Image:
    """A network input as an image of at least :data:`SMALLEST` pixels a side."""
    image = Image.fromarray(pixels)
    if image.width >= SMALLEST:
        return image
    return image.resize((SMALLEST, SMALLEST), Image.Resampling.BICUBIC)
