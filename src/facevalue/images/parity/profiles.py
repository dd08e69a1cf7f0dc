"""Colour profiles (ICC.1:2001-04) for drawn images: Pillow can make sRGB alone."""

from __future__ import annotations

import struct
from functools import cache
from typing import Literal

from PIL import ImageCms

Space = Literal["srgb", "display-p3", "adobe-rgb", "prophoto-rgb", "grey-1.8"]

_XYZ = tuple[float, float, float]
_D50: _XYZ = (0.9642, 1.0, 0.8249)

# Red, green and blue in XYZ, adapted to D50, as the published profiles have them; then the gamma.
_PRIMARIES: dict[str, tuple[_XYZ, _XYZ, _XYZ, float | None]] = {
    "display-p3": ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407), None),
    "adobe-rgb": ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457), 2.19921875),
    "prophoto-rgb": ((0.79767, 0.28804, 0.00000), (0.13519, 0.71188, 0.00000), (0.03134, 0.00009, 0.82491), 1.8),
}


@cache
def profile(space: Space) -> bytes:
    """The bytes of a profile. ``display-p3``, ``adobe-rgb`` and ``prophoto-rgb`` have a wider gamut than sRGB."""
    if space == "srgb":
        return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    named = [(b"desc", _description(space)), (b"cprt", b"text\0\0\0\0public domain\0"), (b"wtpt", _colour(_D50))]
    if space == "grey-1.8":
        return _file(b"GRAY", [*named, (b"kTRC", _curve(1.8))])
    red, green, blue, gamma = _PRIMARIES[space]
    colours = [(b"rXYZ", _colour(red)), (b"gXYZ", _colour(green)), (b"bXYZ", _colour(blue))]
    return _file(b"RGB ", [*named, *colours, *((tag, _curve(gamma)) for tag in (b"rTRC", b"gTRC", b"bTRC"))])


def _file(space: bytes, tags: list[tuple[bytes, bytes]]) -> bytes:
    """Header, table of tags, and the tags, each at a multiple of four bytes."""
    table, body = b"", b""
    start = 128 + 4 + 12 * len(tags)
    for name, value in tags:
        table += name + struct.pack(">II", start + len(body), len(value))
        body += value + bytes(-len(value) % 4)
    header = struct.pack(
        ">I4xI4s4s4s6H4s28x12s48x",
        *(start + len(body), 0x02100000, b"mntr", space, b"XYZ ", 2000, 1, 1, 0, 0, 0, b"acsp"),
        struct.pack(">3i", *map(_fixed, _D50)),
    )
    return header + struct.pack(">I", len(tags)) + table + body


def _description(text: str) -> bytes:
    ascii_text = text.encode() + b"\0"
    return b"desc\0\0\0\0" + struct.pack(">I", len(ascii_text)) + ascii_text + bytes(4 + 4 + 2 + 1 + 67)


def _colour(xyz: _XYZ) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *map(_fixed, xyz))


def _curve(gamma: float | None) -> bytes:
    """A gamma, or for ``None`` the curve of sRGB (IEC 61966-2-1) as a table."""
    if gamma is not None:
        return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))
    steps = [i / 1023 for i in range(1024)]
    linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in steps]
    return b"curv\0\0\0\0" + struct.pack(">I1024H", 1024, *(round(65535 * y) for y in linear))


def _fixed(value: float) -> int:
    return round(value * 65536)
