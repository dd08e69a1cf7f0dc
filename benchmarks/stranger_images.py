"""Stranger images for testing: drawn kinds that training does not draw, and photographs that installed packages carry.

None of the drawing code, fonts or layouts is shared with ``facevalue.data.drawn_images``, so that a score fitted with
those is tested on kinds that it does not know.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

Draw = Callable[[np.random.Generator], Image.Image]


def _fonts() -> list[str]:
    import matplotlib as mpl

    folder = Path(mpl.get_data_path()) / "fonts" / "ttf"
    return [str(p) for p in sorted(folder.glob("DejaVu*.ttf")) if "Display" not in p.name]


FONTS = _fonts()


def _some_colour(rng: np.random.Generator) -> tuple[int, ...]:
    return tuple(int(v) for v in rng.integers(0, 256, 3))


def scatter(rng: np.random.Generator) -> Image.Image:
    image = Image.new("RGB", (400, 300), "white")
    pen = ImageDraw.Draw(image)
    pen.rectangle((40, 20, 380, 260), outline="black")
    for _ in range(int(rng.integers(1, 4))):
        centre, spread, colour = rng.uniform(80, 240, 2), rng.uniform(8, 60), _some_colour(rng)
        r = rng.uniform(1.5, 5)
        for x, y in centre + spread * rng.standard_normal((int(rng.integers(30, 200)), 2)):
            if 42 < x < 378 and 22 < y < 258:
                pen.ellipse((x - r, y - r, x + r, y + r), fill=colour)
    font = ImageFont.truetype(FONTS[0], 11)
    for x in range(60, 380, 60):
        pen.text((x, 264), f"{x / 7:.1f}", fill="black", font=font)
    return image


def pie(rng: np.random.Generator) -> Image.Image:
    image = Image.new("RGB", (320, 320), "white")
    pen, start = ImageDraw.Draw(image), 0.0
    shares = rng.dirichlet(np.ones(int(rng.integers(3, 8))))
    for share in shares:
        pen.pieslice((50, 40, 270, 260), start, start + 360 * share, fill=_some_colour(rng), outline="white")
        start += 360 * share
    font = ImageFont.truetype(FONTS[2], 14)
    for i, share in enumerate(shares[:5]):
        pen.text((60 + 45 * i, 280), f"{share:.0%}", fill="black", font=font)
    return image


def code(rng: np.random.Generator) -> Image.Image:
    """Like a QR code."""
    n = int(rng.integers(21, 58))
    cells = (rng.random((n, n)) < 0.5).astype(np.uint8) * 255
    finder = np.pad(np.pad(np.zeros((3, 3), np.uint8), 1, constant_values=255), 1)
    for r, c in ((0, 0), (0, n - 7), (n - 7, 0)):
        cells[r : r + 7, c : c + 7] = finder
    cells = np.pad(cells, 4, constant_values=255)
    side = int(rng.integers(4, 9)) * len(cells)
    return Image.fromarray(cells).resize((side, side), Image.Resampling.NEAREST).convert("RGB")


def document(rng: np.random.Generator) -> Image.Image:
    """A scanned letter or form: other fonts, off-white paper, slight rotation and blur."""
    image = Image.new("RGB", (420, 594), tuple(int(v) for v in rng.integers(225, 256, 3)))
    pen, font = (
        ImageDraw.Draw(image),
        ImageFont.truetype(FONTS[int(rng.integers(len(FONTS)))], int(rng.integers(9, 17))),
    )
    y = 40
    while y < 550:
        words = ["".join(chr(97 + int(v)) for v in rng.integers(0, 26, int(rng.integers(2, 10)))) for _ in range(11)]
        pen.text((40, y), " ".join(words)[: int(rng.integers(20, 60))], fill=(30, 30, 40), font=font)
        if rng.random() < 0.1:
            pen.rectangle((40, y + 20, 380, y + 60), outline="black")
            y += 44
        y += int(rng.integers(14, 22))
    turned = image.rotate(float(rng.uniform(-4, 4)), fillcolor="white", resample=Image.Resampling.BICUBIC)
    return turned.filter(ImageFilter.GaussianBlur(float(rng.uniform(0, 0.8))))


def street_map(rng: np.random.Generator) -> Image.Image:
    """Land, water and roads, as on a map."""
    points = rng.uniform(0, 320, (25, 2))
    y, x = np.mgrid[0:320, 0:320]
    nearest = ((x[..., None] - points[:, 0]) ** 2 + (y[..., None] - points[:, 1]) ** 2).argmin(-1)
    palette = np.array([(170, 211, 223), (242, 239, 233), (205, 235, 176), (224, 223, 223)], np.uint8)
    image = Image.fromarray(palette[rng.choice(4, 25, p=[0.2, 0.45, 0.25, 0.1])[nearest]])
    pen = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(6, 16))):
        path = [tuple(p) for p in np.cumsum(np.vstack([rng.uniform(0, 320, 2), rng.normal(0, 60, (6, 2))]), 0).tolist()]
        width = int(rng.integers(2, 9))
        pen.line(path, fill=(190, 190, 190), width=width + 2)
        pen.line(path, fill=(255, 255, 255) if width < 6 else (252, 214, 164), width=width)
    font = ImageFont.truetype(FONTS[0], 10)
    for _ in range(5):
        pen.text(tuple(rng.uniform(0, 260, 2).tolist()), "Street Rd", fill=(80, 80, 80), font=font)
    return image


def xray(rng: np.random.Generator) -> Image.Image:
    """Grey blobs like a chest X-ray: bright body, two dark lungs, ribs, spine."""
    y, x = np.mgrid[0:300, 0:300] / 300
    values = 0.75 * np.exp(-(((x - 0.5) / 0.45) ** 6 + ((y - 0.55) / 0.6) ** 6))
    for side in (-1, 1):
        cx = 0.5 + side * rng.uniform(0.17, 0.22)
        values -= 0.5 * np.exp(-((((x - cx) / 0.13) ** 2 + ((y - rng.uniform(0.42, 0.52)) / 0.26) ** 2) ** 2))
    ribs = np.sin(2 * math.pi * (y * rng.uniform(9, 13) + 1.5 * np.abs(x - 0.5)))
    values += 0.05 * ribs * (np.abs(x - 0.5) < 0.4) + 0.2 * np.exp(-(((x - 0.5) / 0.04) ** 2))
    values += 0.02 * rng.standard_normal(values.shape)
    image = Image.fromarray((np.clip(values * rng.uniform(0.8, 1.2), 0, 1) * 255).astype(np.uint8)).convert("RGB")
    return image.filter(ImageFilter.GaussianBlur(1.2))


def heat_map(rng: np.random.Generator) -> Image.Image:
    """A matrix or a spectrogram in a colour map."""
    import matplotlib as mpl

    n, m = rng.integers(5, 60, 2)
    name = ["viridis", "inferno", "coolwarm", "turbo", "Blues"][int(rng.integers(5))]
    values = np.abs(np.fft.rfft(rng.standard_normal((n, 2 * m)), axis=1))[:, :m] / 15
    pixels = (np.asarray(mpl.colormaps[name](np.clip(values, 0, 1)))[..., :3] * 255).astype(np.uint8)
    return Image.fromarray(pixels).resize((320, 240), Image.Resampling.NEAREST)


def sheet_music(rng: np.random.Generator) -> Image.Image:
    image = Image.new("RGB", (400, 300), "white")
    pen = ImageDraw.Draw(image)
    for top in range(20, 280, int(rng.integers(50, 75))):
        for line in range(5):
            pen.line((10, top + 7 * line, 390, top + 7 * line), fill="black")
        for x in range(30, 380, int(rng.integers(14, 30))):
            y = top + int(rng.integers(-2, 9)) * 3.5
            pen.ellipse((x, y, x + 9, y + 7), fill="black")
            pen.line((x + 9, y + 3, x + 9, y - 22), fill="black", width=2)
    return image


def terminal(rng: np.random.Generator) -> Image.Image:
    image = Image.new("RGB", (420, 280), (18, 18, 24))
    mono = [f for f in FONTS if "Mono" in f]
    pen, font = ImageDraw.Draw(image), ImageFont.truetype(mono[int(rng.integers(len(mono)))], int(rng.integers(9, 15)))
    for y in range(6, 270, 15):
        text = "".join(chr(int(v)) for v in rng.integers(33, 126, int(rng.integers(0, 60))))
        pen.text((6, y), text, fill=[(80, 250, 120), (230, 230, 230), (250, 200, 90)][int(rng.integers(3))], font=font)
    return image


def hills(rng: np.random.Generator) -> Image.Image:
    """A drawn landscape: sky, ridges one behind the other, ground."""
    width, height = 400, 280
    y, _ = np.mgrid[0:height, 0:width]
    top, low = (
        rng.uniform(lo, hi) for lo, hi in (((40, 90, 150), (140, 180, 255)), ((180, 170, 160), (255, 235, 220)))
    )
    pixels = top + (y / height)[..., None] * (low - top)
    ground = rng.uniform((20, 50, 10), (130, 140, 90))
    for i, base in enumerate(np.sort(rng.uniform(0.35, 0.9, 4))):
        walk = np.cumsum(rng.standard_normal(width)) * rng.uniform(1, 3)
        ridge = base * height + np.convolve(walk - walk.mean(), np.ones(9) / 9, "same")
        shade = ground * (i + 1) / 4 + low * (3 - i) / 6
        pixels = np.where((y > ridge)[..., None], shade + 6 * rng.standard_normal((height, width, 1)), pixels)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(0.7))


def handwriting(rng: np.random.Generator) -> Image.Image:
    """Rows of handwritten digits (scikit-learn's)."""
    from sklearn.datasets import load_digits

    digits = load_digits().images
    tiles = digits[rng.integers(0, len(digits), (4, 6))]
    sheet = 255 - np.clip(tiles.transpose(0, 2, 1, 3).reshape(32, 48) * 16, 0, 255)
    return Image.fromarray(sheet.astype(np.uint8)).resize((384, 256), Image.Resampling.BICUBIC).convert("RGB")


def sketch(rng: np.random.Generator) -> Image.Image:
    """Line drawing: smooth closed curves in ink."""
    image = Image.new("RGB", (300, 300), "white")
    pen, t = ImageDraw.Draw(image), np.linspace(0, 2 * math.pi, 200)
    for _ in range(int(rng.integers(2, 9))):
        radius = rng.uniform(15, 110) * (
            1 + sum(rng.normal(0, 0.25 / k) * np.cos(k * t + rng.uniform(0, 6)) for k in range(1, 6))
        )
        centre = rng.uniform(60, 240, 2)
        points = np.stack([centre[0] + radius * np.cos(t), centre[1] + radius * np.sin(t)], 1)
        pen.line([tuple(p) for p in points.tolist()], fill=(20, 20, 20), width=int(rng.integers(1, 4)))
    return image


DRAWN: dict[str, Draw] = {
    draw.__name__: draw
    for draw in (
        scatter,
        pie,
        code,
        document,
        street_map,
        xray,
        heat_map,
        sheet_music,
        terminal,
        hills,
        handwriting,
        sketch,
    )
}

TEXTURES = "brick grass gravel cell coins hubble_deep_field ihc microaneurysms moon page retina text".split()
"""Images of scikit-image without an object or a person: textures, microscopes, the sky, pages."""


def drawn(kind: str, n: int, seed: int = 1) -> list[Image.Image]:
    return [DRAWN[kind](np.random.default_rng((seed, list(DRAWN).index(kind), i))) for i in range(n)]


def package_images(each: int = 8, seed: int = 1) -> Iterator[tuple[str, Image.Image]]:
    """Crops of the images in scikit-image (``texture``) and scikit-learn (``landscape``: a temple, a flower)."""
    import skimage.data
    from sklearn.datasets import load_sample_images

    rng = np.random.default_rng(seed)
    folder = Path(skimage.data.__file__).parent
    for name in TEXTURES:
        path = next(p for p in sorted(folder.glob(f"{name}.*")) if p.suffix in (".png", ".jpg"))
        yield from (("texture", crop) for crop in _crops(Image.open(path).convert("RGB"), each, rng))
    for array in load_sample_images().images:
        yield from (("landscape", crop) for crop in _crops(Image.fromarray(array), each, rng))


def _crops(image: Image.Image, n: int, rng: np.random.Generator) -> Iterator[Image.Image]:
    yield image
    for _ in range(n - 1):
        share = rng.uniform(0.4, 0.9)
        width, height = (round(share * side) for side in image.size)
        left, top = (
            int(rng.integers(0, side - part + 1)) for side, part in zip(image.size, (width, height), strict=True)
        )
        yield image.crop((left, top, left + width, top + height))
