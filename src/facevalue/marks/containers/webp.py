"""The chunks of a WebP file."""

from __future__ import annotations

from facevalue.marks.containers.base import MOST_BYTES, MOST_PARTS, Blocks


def read_webp(data: bytes) -> Blocks:
    """The metadata of all chunks."""
    found = Blocks()
    at = 12
    for _ in range(MOST_PARTS):
        if at + 8 > len(data):
            break
        kind, length = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if kind == b"EXIF" and not found.exif:
            found.exif = data[at + 8 : at + 8 + min(length, MOST_BYTES)].removeprefix(b"Exif\0\0")
        elif kind == b"XMP ":
            found.add_xmp(data[at + 8 : at + 8 + min(length, MOST_BYTES)])
        at += 8 + length + length % 2
    return found
