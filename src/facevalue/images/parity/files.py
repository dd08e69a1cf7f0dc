"""The drawn files: every kind of image file that the project reads and people have."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
from PIL import Image, features

from facevalue.images.parity.png import png
from facevalue.images.parity.profiles import Space, profile
from facevalue.images.parity.scenes import Random, lines, opacity, scene, wide

FEWEST = 200
"""The set has at least this many files."""

_EACH = 4
_ORIENTATION = 0x0112

Draw = Callable[[Random], bytes]
Kind = tuple[str, int, Draw]
"""The ending of the file names, the number of files, and what draws one."""


@dataclass(frozen=True)
class ParityFile:
    """One drawn image file.

    Attributes
    ----------
    name : unique file name; begins with a number, so that names sort in the order of the set.
    kind : what is special about the file, such as ``jpeg 4:2:0``.
    """

    name: str
    kind: str
    data: bytes


@lru_cache(maxsize=2)
def parity_files(large: bool = True) -> tuple[ParityFile, ...]:
    """At least :data:`FEWEST` files of all kinds; the same bytes at every call with the same Pillow.

    Where Pillow was built without AVIF, which facevalue then cannot read either, the AVIF files are left out.

    Parameters
    ----------
    large : with the two files of 12 million pixels, which are the last.
    """
    if large:
        small = parity_files(large=False)
        return (*small, *_drawn(_large_kinds(), len(small)))
    return tuple(_drawn(_kinds(), 0))


def one_per_kind() -> tuple[ParityFile, ...]:
    """The first file of each kind, without the large ones: for quick tests."""
    first: dict[str, ParityFile] = {}
    for file in parity_files(large=False):
        first.setdefault(file.kind, file)
    return tuple(first.values())


def first_of(kinds: Sequence[str]) -> tuple[ParityFile, ...]:
    """The first file of each of these kinds, drawn alone: for when the whole set would take too long.

    >>> [file.name for file in first_of(["gif", "png alpha"])]
    ['000-gif.gif', '001-png-alpha.png']
    """
    known = _kinds()
    return tuple(_drawn({kind: (known[kind][0], 1, known[kind][2]) for kind in kinds}, 0))


def _drawn(kinds: dict[str, Kind], first: int) -> list[ParityFile]:
    found: list[ParityFile] = []
    for kind, (ending, n, draw) in kinds.items():
        for i in range(n):
            number = first + len(found)
            name = f"{number:03d}-{kind.replace(' ', '-').replace(':', '')}.{ending}"
            found.append(ParityFile(name, kind, draw(np.random.default_rng((zlib.crc32(kind.encode()), i)))))
    return found


def _large_kinds() -> dict[str, Kind]:
    turned: Draw = partial(
        _image, "JPEG", size=(4032, 3024), turned=8, progressive=True, quality=80, subsampling="4:2:0"
    )
    return {
        "12 megapixels jpeg": ("jpg", 1, partial(_image, "JPEG", size=(4000, 3000), quality=85)),
        "12 megapixels jpeg progressive EXIF orientation 8": ("jpg", 1, turned),
    }


def _kinds() -> dict[str, Kind]:
    kinds: dict[str, Kind] = {}

    def add(kind: str, ending: str, draw: Callable[..., bytes], *more: Any, n: int = _EACH, **settings: Any) -> None:
        kinds[kind] = (ending, n, partial(draw, *more, **settings))

    for kind, settings in _JPEG.items():
        add(f"jpeg {kind}", "jpg", _image, "JPEG", **settings)
    for mode in ("L", "CMYK"):
        add(f"jpeg {'grey' if mode == 'L' else 'CMYK'}", "jpg", _image, "JPEG", mode=mode)
    for orientation in range(2, 9):
        add(f"jpeg EXIF orientation {orientation}", "jpg", _image, "JPEG", turned=orientation, n=2)
    spaces: tuple[Space, ...] = ("srgb", "display-p3", "adobe-rgb", "prophoto-rgb")
    for space in spaces:
        add(f"jpeg ICC {space}", "jpg", _image, "JPEG", icc_profile=profile(space))
    add("jpeg ICC grey-1.8", "jpg", _image, "JPEG", mode="L", icc_profile=profile("grey-1.8"), n=2)
    add("jpeg with pixel lines", "jpg", _lines, "JPEG", n=3)

    for mode, name in {"RGB": "RGB", "L": "grey", "P": "palette", "1": "1 bit", "LA": "grey alpha"}.items():
        add(f"png {name}", "png", _image, "PNG", mode=mode)
    add("png alpha", "png", _image, "PNG", mode="RGBA")
    add("png palette transparent", "png", _transparent_palette, "PNG")
    add("png ICC display-p3", "png", _image, "PNG", icc_profile=profile("display-p3"), n=2)
    add("png EXIF orientation 6", "png", _image, "PNG", turned=6, n=2)
    add("png with pixel lines", "png", _lines, "PNG", n=3)
    for bits in (2, 4):
        add(f"png grey {bits} bits", "png", _few_bits, bits, n=2)
    for mode, name in {"L": "grey", "RGB": "RGB", "LA": "grey alpha", "RGBA": "alpha"}.items():
        add(f"png {name} 16 bits", "png", _sixteen_bits, mode, n=3)
    add("png one transparent colour", "png", _one_transparent, 8, n=2)
    add("png one transparent colour 16 bits", "png", _one_transparent, 16, n=2)
    add("png interlaced", "png", _interlaced, n=3)
    add("png gamma", "png", _with_gamma, n=2)

    add("webp lossy", "webp", _image, "WEBP", quality=80)
    add("webp lossless", "webp", _image, "WEBP", lossless=True, quality=0)
    add("webp alpha", "webp", _image, "WEBP", mode="RGBA", quality=80)
    add("webp lossless alpha", "webp", _image, "WEBP", mode="RGBA", lossless=True, quality=0)
    add("webp ICC display-p3", "webp", _image, "WEBP", icc_profile=profile("display-p3"), n=2)
    add("webp EXIF orientation 6", "webp", _image, "WEBP", turned=6, n=2)
    add("webp animated", "webp", _animated, "WEBP", n=2)
    if features.check("avif"):
        add("avif", "avif", _image, "AVIF", speed=10)
        add("avif 4:4:4", "avif", _image, "AVIF", subsampling="4:4:4", speed=10)
        add("avif alpha", "avif", _image, "AVIF", mode="RGBA", speed=10)
        add("avif EXIF orientation 6", "avif", _image, "AVIF", turned=6, speed=10, n=2)

    add("gif", "gif", _image, "GIF", mode="P")
    add("gif transparent", "gif", _transparent_palette, "GIF")
    add("gif animated", "gif", _animated, "GIF", n=2)
    for mode, name in {"RGB": "RGB", "L": "grey", "P": "palette", "1": "1 bit"}.items():
        add(f"bmp {name}", "bmp", _image, "BMP", mode=mode, n=3)
    for mode, name in {"RGB": "RGB", "L": "grey", "P": "palette", "RGBA": "alpha", "CMYK": "CMYK"}.items():
        add(f"tiff {name}", "tif", _image, "TIFF", mode=mode, compression="tiff_lzw", n=3)
    add("tiff deflate", "tif", _image, "TIFF", compression="tiff_adobe_deflate", n=2)
    add("tiff EXIF orientation 6", "tif", _image, "TIFF", turned=6, n=2)
    add("tiff grey 16 bits", "tif", _deep_tiff, n=2)

    for size in ((1, 1), (1, 37), (53, 1)):
        for name, ending in {"JPEG": "jpg", "PNG": "png", "WEBP": "webp"}.items():
            kind = f"{name.lower()} {size[0]} x {size[1]} pixels"
            add(kind, ending, _image, name, size=size, n=1)
    return kinds


_JPEG: dict[str, dict[str, Any]] = {
    "4:4:4": {"subsampling": "4:4:4"},
    "4:2:2": {"subsampling": "4:2:2"},
    "4:2:0": {"subsampling": "4:2:0"},
    "low quality": {"quality": 25},
    "progressive": {"progressive": True},
    "progressive 4:4:4": {"progressive": True, "subsampling": "4:4:4", "quality": 92},
    "RGB": {"keep_rgb": True},
    "restart markers": {"restart_marker_blocks": 3},
}


def _size(rng: Random) -> tuple[int, int]:
    """Mostly small, of any shape; a few as large as images on the web."""
    if rng.integers(12) == 0:
        return 640, 480
    width, height = rng.integers(17, 260, 2)
    return int(width), int(height)


def _saved(image: Image.Image, form: str, **settings: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **settings)
    return buffer.getvalue()


def _image(
    form: str,
    rng: Random,
    *,
    mode: str = "RGB",
    turned: int = 1,
    size: tuple[int, int] | None = None,
    **settings: Any,
) -> bytes:
    """A scene in one of Pillow's formats and modes."""
    width, height = size or _size(rng)
    image: Image.Image = scene(rng, width, height)
    if mode in ("LA", "RGBA"):
        image.putalpha(opacity(rng, width, height))
    if image.mode != mode:
        image = image.convert(mode)
    if turned != 1:
        settings["exif"] = _exif(turned)
    return _saved(image, form, **settings)


def _exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[_ORIENTATION] = orientation
    return exif


def _lines(form: str, rng: Random) -> bytes:
    return _saved(lines(rng, *_size(rng)), form, **({"quality": 90} if form == "JPEG" else {}))


def _transparent_palette(form: str, rng: Random) -> bytes:
    return _saved(scene(rng, *_size(rng)).convert("P"), form, transparency=int(rng.integers(256)))


def _animated(form: str, rng: Random) -> bytes:
    size = _size(rng)
    frames = [scene(rng, *size) for _ in range(3)]
    return _saved(frames[0], form, save_all=True, append_images=frames[1:], duration=100)


def _few_bits(bits: int, rng: Random) -> bytes:
    return png(np.asarray(scene(rng, *_size(rng)).convert("L")) >> (8 - bits), bits)


def _sixteen_bits(mode: str, rng: Random) -> bytes:
    width, height = _size(rng)
    image = scene(rng, width, height)
    if mode.endswith("A"):
        image.putalpha(opacity(rng, width, height))
    return png(wide(image.convert(mode), rng), 16)


def _one_transparent(bits: int, rng: Random) -> bytes:
    """An RGB file whose tRNS chunk names the colour of one rectangle as transparent."""
    pixels = np.asarray(scene(rng, *_size(rng))).astype(np.uint16)
    if bits == 16:
        pixels = pixels * 256 + 7
    colour = pixels[0, 0].copy()
    pixels[: len(pixels) // 2, : pixels.shape[1] // 3] = colour
    return png(pixels, bits, ((b"tRNS", struct.pack(">3H", *(int(c) for c in colour))),))


def _interlaced(rng: Random) -> bytes:
    return png(np.asarray(scene(rng, *_size(rng))), 8, interlaced=True)


def _with_gamma(rng: Random) -> bytes:
    """With a gAMA chunk far from sRGB, which facevalue does not apply."""
    return png(np.asarray(scene(rng, *_size(rng))), 8, ((b"gAMA", struct.pack(">I", 100_000)),))


def _deep_tiff(rng: Random) -> bytes:
    grey = np.asarray(scene(rng, *_size(rng)).convert("L")).astype(np.uint16)
    deep = grey * 256 + rng.integers(0, 256, grey.shape, dtype=np.uint16)
    return _saved(Image.fromarray(deep), "TIFF")
