"""The EXIF orientation of an image. It is read even if the rest of the EXIF data is damaged."""

from __future__ import annotations

import struct

from PIL import ExifTags, Image

_TURNS = dict(
    enumerate(
        (
            Image.Transpose.FLIP_LEFT_RIGHT,
            Image.Transpose.ROTATE_180,
            Image.Transpose.FLIP_TOP_BOTTOM,
            Image.Transpose.TRANSPOSE,
            Image.Transpose.ROTATE_270,
            Image.Transpose.TRANSVERSE,
            Image.Transpose.ROTATE_90,
        ),
        start=2,
    )
)
_TAG = int(ExifTags.Base.Orientation)


def orientation_of(image: Image.Image) -> int:
    """Orientation 1 to 8 as in EXIF 2.32 (tag 0x0112); 1 if the entry is missing or not valid."""
    try:
        value = image.getexif().get(_TAG, 1)
    except Exception:  # damaged EXIF data can raise nearly anything
        value = _first_directory(image.info.get("exif", b""))
    if isinstance(value, tuple | list):
        value = value[0] if value else 1
    return int(value) if value in _TURNS else 1


def turned(image: Image.Image, orientation: int) -> Image.Image:
    """``image`` turned and mirrored so that it is upright."""
    return image.transpose(_TURNS[orientation]) if orientation in _TURNS else image


def _first_directory(exif: bytes) -> int:
    """The orientation from the first directory of EXIF data that cannot be read as a whole."""
    body = exif.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(body[:2])
    if order is None or len(body) < 10:
        return 1
    (start,) = struct.unpack_from(order + "I", body, 4)
    if start + 2 > len(body):
        return 1
    (count,) = struct.unpack_from(order + "H", body, start)
    for place in range(start + 2, min(start + 2 + 12 * count, len(body) - 11), 12):
        tag, kind = struct.unpack_from(order + "HH", body, place)
        if tag == _TAG:
            return int(struct.unpack_from(order + ("I" if kind == 4 else "H"), body, place + 8)[0])
    return 1
