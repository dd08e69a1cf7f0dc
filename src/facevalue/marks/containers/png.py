"""The chunks of a PNG file: tEXt, zTXt and iTXt have text and XMP, eXIf has EXIF."""

from __future__ import annotations

from facevalue.marks.containers.base import MOST_BYTES, MOST_PARTS, Blocks, inflated

_XMP = "XML:com.adobe.xmp"
_RAW = {"Raw profile type exif": "exif", "Raw profile type APP1": "exif", "Raw profile type xmp": "xmp"}


def read_png(data: bytes) -> Blocks:
    """The metadata of all chunks; text may lie before or behind the image data."""
    found = Blocks()
    at = 8
    for _ in range(MOST_PARTS):
        if at + 8 > len(data):
            break
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if kind == b"IEND":
            break
        if kind == b"eXIf" and not found.exif:
            found.exif = data[at + 8 : at + 8 + min(length, MOST_BYTES)]
        elif kind in (b"tEXt", b"zTXt", b"iTXt"):
            _read_text(found, kind, data[at + 8 : at + 8 + min(length, MOST_BYTES)])
        at += 12 + length
    return found


def _read_text(found: Blocks, kind: bytes, body: bytes) -> None:
    name, _, rest = body.partition(b"\0")
    key = name.decode("latin-1")
    if kind == b"tEXt":
        value = rest
    elif kind == b"zTXt":
        value = inflated(rest[1:])
    else:
        packed, rest = rest[:1] == b"\1", rest[2:]
        value = rest.partition(b"\0")[2].partition(b"\0")[2]  # behind the language and the translated key
        value = inflated(value) if packed else value
    if key == _XMP:
        found.add_xmp(value)
    elif key in _RAW:
        _read_raw(found, _RAW[key], value)
    else:
        found.add_text(key, value.decode("utf-8" if kind == b"iTXt" else "latin-1", "replace"))


def _read_raw(found: Blocks, what: str, value: bytes) -> None:
    """A block that ImageMagick keeps as text: a name, a length, and hexadecimal digits."""
    digits = b"".join(value.strip().split(b"\n")[2:])
    try:
        block = bytes.fromhex(digits.decode("ascii"))
    except ValueError:
        return
    if what == "exif" and not found.exif:
        found.exif = block.removeprefix(b"Exif\0\0")
    elif what == "xmp":
        found.add_xmp(block)
