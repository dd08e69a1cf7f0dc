"""The segments of a JPEG file: APP1 has EXIF and XMP, APP13 has IPTC."""

from __future__ import annotations

from facevalue.marks.containers.base import MOST_BYTES, MOST_PARTS, Blocks

_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_EXIF = b"Exif\0\0"
_PHOTOSHOP = b"Photoshop 3.0\0"
_APP1, _APP13, _COMMENT, _START_OF_SCAN, _END = 0xE1, 0xED, 0xFE, 0xDA, 0xD9
_WITHOUT_LENGTH = {0x00, 0x01, 0xFF, *range(0xD0, 0xD9)}


def read_jpeg(data: bytes) -> Blocks:
    """The metadata before the image data. What is behind the image is not the image's, and is not read."""
    found = Blocks()
    at = 2
    for _ in range(MOST_PARTS):
        at = data.find(b"\xff", at)
        if at < 0 or at + 4 > len(data):
            break
        kind = data[at + 1]
        if kind in (_START_OF_SCAN, _END):
            break
        if kind in _WITHOUT_LENGTH:
            at += 1
            continue
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        _read(found, kind, data[at + 4 : end])
        at = max(end, at + 2)
    return found


def _read(found: Blocks, kind: int, body: bytes) -> None:
    if kind == _APP1 and body.startswith(_EXIF) and not found.exif:
        found.exif = body[len(_EXIF) :]
    elif kind == _APP1 and body.startswith(_XMP):
        found.add_xmp(body[len(_XMP) :])
    elif kind == _APP13 and body.startswith(_PHOTOSHOP) and len(found.iptc) < MOST_BYTES:
        found.iptc += body[len(_PHOTOSHOP) :]
    elif kind == _COMMENT:
        found.add_text("Comment", body.decode("latin-1"))
