"""Files whose structure is not followed: TIFF, HEIC, AVIF and GIF. They keep XMP and EXIF as plain bytes."""

from __future__ import annotations

import re

from facevalue.marks.containers.base import MOST_BYTES, Blocks

_XMP_START, _XMP_END = b"<x:xmpmeta", b"</x:xmpmeta>"
_EXIF = re.compile(rb"(?:Exif\0\0|\0\0\0\0)(MM\0\*|II\*\0)")


def read_tiff(data: bytes) -> Blocks:
    """The metadata of a TIFF file, which is itself what EXIF data are."""
    found = read_packets(data)
    found.exif = data
    return found


def read_packets(data: bytes) -> Blocks:
    """XMP by its packet's beginning and end, as its specification allows, and EXIF by its beginning."""
    found = Blocks()
    start = data.find(_XMP_START)
    end = data.find(_XMP_END, start, start + MOST_BYTES) if start >= 0 else -1
    if end > 0:
        found.add_xmp(data[start : end + len(_XMP_END)])
    exif = _EXIF.search(data)
    if exif is not None:
        found.exif = data[exif.start(1) : exif.start(1) + MOST_BYTES]
    return found
