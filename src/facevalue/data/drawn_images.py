"""Drawn images that no photograph resembles: the strangers that every novelty score is checked and fitted with.

They need no data: a kind is a function of a random generator.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Draw = Callable[[np.random.Generator], Image.Image]
"""Draws one RGB image."""

Colour = tuple[int, int, int]

SIDES = (96, 224)
"""Shortest and longest side of a drawn image, in pixels."""

_WORDS = (
    "the of and to in is that for it as was with be by on not he his but at are this have from or had an they which "
    "one you were all her she there would their we him been has when who will no more if out so up said what its about "
    "than into them can only other time new some could these two may first then do any like my now over such"
).split()


def drawn(kind: str, n: int, first: int = 0) -> list[Image.Image]:
    """The ``n`` images of one of :data:`KINDS` from number ``first`` on; the same on every call.

    >>> [image.size for image in drawn("pixel", 2)]
    [(1, 1), (1, 1)]
    """
    number = list(KINDS).index(kind)
    return [KINDS[kind](np.random.default_rng((number, i))) for i in range(first, first + n)]


def _size(rng: np.random.Generator) -> tuple[int, int]:
    width, height = rng.integers(SIDES[0], SIDES[1], 2, endpoint=True)
    return int(width), int(height)


def _colour(rng: np.random.Generator) -> Colour:
    """Any colour; grey in one of three draws, since pages and screens mostly are."""
    if rng.random() < 1 / 3:
        return (int(rng.integers(256)),) * 3
    red, green, blue = rng.integers(0, 256, 3)
    return int(red), int(green), int(blue)


def _paper_and_ink(rng: np.random.Generator) -> tuple[Colour, Colour]:
    """A light and a dark colour, half of the time white and black; one of four times exchanged, as on dark screens."""
    plain = rng.random() < 0.5
    light = (255, 255, 255) if plain else _between(rng, 195, 255)
    dark = (0, 0, 0) if plain else _between(rng, 0, 60)
    return (dark, light) if rng.random() < 0.25 else (light, dark)


def _between(rng: np.random.Generator, low: int, high: int) -> Colour:
    red, green, blue = rng.integers(low, high, 3)
    return int(red), int(green), int(blue)


def _field(rng: np.random.Generator, size: tuple[int, int], power: float) -> NDArray[np.float64]:
    """(h, w) random field whose amplitude falls as 1 / frequency ** power, in [0, 1]; 0 is white noise."""
    width, height = size
    rows, columns = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    frequency = np.hypot(rows, columns)
    frequency[0, 0] = np.inf
    spectrum = np.fft.rfft2(rng.standard_normal((height, width))) / frequency**power
    field = np.fft.irfft2(spectrum, s=(height, width))
    clipped: NDArray[np.float64] = np.clip(0.5 + field / (5 * field.std() + 1e-12), 0, 1)
    return clipped


def _image(values: NDArray[np.floating]) -> Image.Image:
    """RGB image from (h, w, 3) or (h, w) in [0, 1]."""
    return Image.fromarray((values * 255).round().astype(np.uint8)).convert("RGB")


def flat(rng: np.random.Generator) -> Image.Image:
    """One colour; black or white in one of four."""
    plain = [(0, 0, 0), (255, 255, 255)][int(rng.integers(2))]
    return Image.new("RGB", _size(rng), plain if rng.random() < 0.25 else _colour(rng))


def pixel(rng: np.random.Generator) -> Image.Image:
    """One pixel."""
    return Image.new("RGB", (1, 1), _colour(rng))


def gradient(rng: np.random.Generator) -> Image.Image:
    """From one colour to another, straight or round."""
    width, height = size = _size(rng)
    y, x = np.mgrid[0:height, 0:width] / max(size)
    angle = rng.uniform(0, 2 * math.pi)
    ramp = (
        np.hypot(x - rng.random(), y - rng.random())
        if rng.random() < 0.5
        else x * math.cos(angle) + y * math.sin(angle)
    )
    ramp = (ramp - ramp.min()) / (np.ptp(ramp) + 1e-12)
    first, second = np.array(_colour(rng)) / 255, np.array(_colour(rng)) / 255
    return _image(first + ramp[..., None] * (second - first))


def noise(rng: np.random.Generator) -> Image.Image:
    """Independent pixels: grey or coloured, of any contrast, or black and white dots."""
    width, height = _size(rng)
    shape = (height, width) if rng.random() < 0.5 else (height, width, 3)
    if rng.random() < 0.3:
        return _image((rng.random(shape) < rng.uniform(0.05, 0.95)).astype(np.float64))
    return _image(np.clip(rng.uniform(0.2, 0.8) + rng.uniform(0.05, 0.5) * rng.standard_normal(shape), 0, 1))


def clouds(rng: np.random.Generator) -> Image.Image:
    """Soft random fields, with the spectrum of natural textures and skies."""
    size, power = _size(rng), rng.uniform(0.7, 2.2)
    if rng.random() < 0.4:
        return _image(_field(rng, size, power))
    shared = _field(rng, size, power)
    mix = rng.uniform(0, 0.8)
    own = [mix * shared + (1 - mix) * _field(rng, size, power) for _ in range(3)]
    first, second = np.array(_colour(rng)) / 255, np.array(_colour(rng)) / 255
    return _image(first + np.stack(own, -1) * (second - first))


def regions(rng: np.random.Generator) -> Image.Image:
    """Two to five colours in irregular regions, as on maps and camouflage, with a little texture."""
    size, count = _size(rng), int(rng.integers(2, 6))
    edges = np.sort(rng.uniform(0.2, 0.8, count - 1))
    field = _field(rng, size, rng.uniform(1.0, 2.2))
    palette = np.array([_colour(rng) for _ in range(count)]) / 255
    texture = rng.uniform(0, 0.15) * (_field(rng, size, rng.uniform(0.3, 1.5)) - 0.5)
    return _image(np.clip(palette[np.digitize(field, edges)] + texture[..., None], 0, 1))


def pattern(rng: np.random.Generator) -> Image.Image:
    """Stripes, checks, dots or waves that repeat."""
    width, height = _size(rng)
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    angle, period = rng.uniform(0, math.pi), rng.uniform(4, 50)
    u, v = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
    wave_u, wave_v = np.sin(2 * math.pi * u / period), np.sin(2 * math.pi * v / (period * rng.uniform(0.7, 1.4)))
    kind = int(rng.integers(4))
    on = [wave_u > rng.uniform(-0.8, 0.8), wave_u * wave_v > 0, wave_u + wave_v > rng.uniform(0.2, 1.4), wave_u][kind]
    shade = (on + 1) / 2 if kind == 3 else on.astype(np.float64)
    first, second = np.array(_colour(rng)) / 255, np.array(_colour(rng)) / 255
    return _image(first + shade[..., None] * (second - first))


def shapes(rng: np.random.Generator) -> Image.Image:
    """Plain circles, boxes, triangles and lines on one colour."""
    size = _size(rng)
    image = Image.new("RGB", size, _colour(rng))
    pen = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(1, 16))):
        (left, right), (top, bottom) = (sorted(rng.integers(0, side, 2).tolist()) for side in size)
        kind, colour = int(rng.integers(4)), _colour(rng)
        if kind == 0:
            pen.ellipse((left, top, right, bottom), fill=colour)
        elif kind == 1:
            pen.rectangle((left, top, right, bottom), fill=colour)
        elif kind == 2:
            pen.polygon([tuple(rng.integers(0, min(size), 2).tolist()) for _ in range(3)], fill=colour)
        else:
            pen.line((left, top, right, bottom), fill=colour, width=int(rng.integers(1, 12)))
    return image


def text(rng: np.random.Generator) -> Image.Image:
    """A page of text, with a margin, paragraphs and sometimes a heading."""
    size = width, height = _size(rng)
    paper, ink = _paper_and_ink(rng)
    image = Image.new("RGB", size, paper)
    pen = ImageDraw.Draw(image)
    letters = float(rng.uniform(7, 26))
    margin, y = int(rng.integers(2, 30)), float(rng.integers(2, 30))
    if rng.random() < 0.4:
        pen.text((margin, y), _sentence(rng, 3), fill=ink, font=ImageFont.load_default(1.6 * letters))
        y += 2.4 * letters
    font = ImageFont.load_default(letters)
    while y < height:
        if rng.random() < 0.9:
            words = 1 + int(2 * width / letters / 5 * (1 if rng.random() < 0.8 else rng.random()))
            pen.text((margin, y), _sentence(rng, words), fill=ink, font=font)
        y += 1.25 * letters
    pen.rectangle((width - margin, 0, width, height), fill=paper)
    return image


def _sentence(rng: np.random.Generator, words: int) -> str:
    return " ".join(_WORDS[i] for i in rng.integers(0, len(_WORDS), words))


def chart(rng: np.random.Generator) -> Image.Image:
    """Bars or curves between two axes, with numbers along them."""
    size = width, height = _size(rng)
    paper, ink = _paper_and_ink(rng)
    image = Image.new("RGB", size, paper)
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(float(rng.uniform(7, 12)))
    left, bottom, top, right = 26, height - 20, int(rng.integers(6, 30)), width - int(rng.integers(4, 20))
    if rng.random() < 0.5:
        for y in np.linspace(bottom, top, 6):
            pen.line((left, y, right, y), fill=tuple((3 * p + i) // 4 for p, i in zip(paper, ink, strict=True)))
    colour = _colour(rng)
    if rng.random() < 0.5:
        heights = rng.random(int(rng.integers(3, 14)))
        step = (right - left) / len(heights)
        for i, share in enumerate(heights):
            x = left + i * step
            pen.rectangle((x + 0.15 * step, bottom - share * (bottom - top), x + 0.85 * step, bottom), fill=colour)
    else:
        xs = np.linspace(left, right, 40)
        for _ in range(int(rng.integers(1, 5))):
            steps = np.cumsum(rng.standard_normal(40))
            ys = bottom - (steps - steps.min()) / (np.ptp(steps) + 1e-12) * (bottom - top)
            pen.line(list(zip(xs.tolist(), ys.tolist(), strict=True)), fill=_colour(rng), width=int(rng.integers(1, 4)))
    pen.line((left, top, left, bottom, right, bottom), fill=ink)
    for y in np.linspace(bottom, top, 6):
        pen.text((2, y - 6), str(int(rng.integers(0, 100))), fill=ink, font=font)
    for x in np.linspace(left, right, 5)[:-1]:
        pen.text((x, bottom + 4), _WORDS[int(rng.integers(len(_WORDS)))], fill=ink, font=font)
    return image


def screen(rng: np.random.Generator) -> Image.Image:
    """A window with a bar, a list, buttons and lines of text."""
    size = width, height = _size(rng)
    paper, ink = _paper_and_ink(rng)
    image = Image.new("RGB", size, paper)
    pen, accent = ImageDraw.Draw(image), _colour(rng)
    font = ImageFont.load_default(float(rng.uniform(8, 13)))
    pen.rectangle((0, 0, width, int(rng.integers(14, 34))), fill=accent if rng.random() < 0.5 else ink)
    side = int(width * rng.uniform(0, 0.4))
    shade = tuple((5 * p + i) // 6 for p, i in zip(paper, ink, strict=True))
    pen.rectangle((0, 34, side, height), fill=shade)
    row = int(rng.integers(14, 40))
    for y in range(38, height, row):
        if rng.random() < 0.3:
            pen.rounded_rectangle((side + 8, y, side + 8 + width // 3, y + row - 5), 4, fill=accent)
        if rng.random() < 0.8:
            pen.text((side + 12, y + 2), _sentence(rng, int(rng.integers(1, 7))), fill=ink, font=font)
        if side > 40:
            pen.text((4, y + 2), _sentence(rng, 1), fill=ink, font=font)
        if rng.random() < 0.4:
            pen.line((side, y + row - 3, width, y + row - 3), fill=shade)
    return image


KINDS: dict[str, Draw] = {
    draw.__name__: draw
    for draw in (flat, pixel, gradient, noise, clouds, regions, pattern, shapes, text, chart, screen)
}
"""The kinds by name."""
