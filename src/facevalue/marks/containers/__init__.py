"""Metadata by file format. Sizes are limited, and damaged files give what can be read of them."""

from __future__ import annotations

from collections.abc import Callable

from facevalue.marks.containers.base import Blocks
from facevalue.marks.containers.jpeg import read_jpeg
from facevalue.marks.containers.others import read_packets, read_tiff
from facevalue.marks.containers.png import read_png
from facevalue.marks.containers.webp import read_webp

READERS: dict[str, Callable[[bytes], Blocks]] = {
    "image/jpeg": read_jpeg,
    "image/png": read_png,
    "image/webp": read_webp,
    "image/tiff": read_tiff,
    "image/heif": read_packets,
    "image/avif": read_packets,
    "image/gif": read_packets,
}
"""By media type. BMP and PPM files carry no metadata."""

_STARTS = {
    b"\xff\xd8\xff": "image/jpeg",
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"II*\0": "image/tiff",
    b"MM\0*": "image/tiff",
    b"GIF8": "image/gif",
}


def media_type(data: bytes) -> str | None:
    """The media type of a file that may carry marks.

    >>> media_type(b"GIF89a..."), media_type(b"BM......")
    ('image/gif', None)
    """
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    if data[4:8] == b"ftyp":
        return "image/avif" if b"avi" in data[8:64] else "image/heif"
    return next((name for start, name in _STARTS.items() if data.startswith(start)), None)


def blocks_of(data: bytes) -> Blocks:
    """The metadata of a file; none if its format carries none."""
    kind = media_type(data)
    return Blocks() if kind is None else READERS[kind](data)
