"""Texts in EXIF data (CIPA DC-008, EXIF 2.32): a TIFF structure with tags."""

from __future__ import annotations

MAKE, MODEL, DESCRIPTION, SOFTWARE, USER_COMMENT = 0x10F, 0x110, 0x10E, 0x131, 0x9286

_INNER = 0x8769  # where the second directory is
_TEXTS = (MAKE, MODEL, DESCRIPTION, SOFTWARE, USER_COMMENT)
_MOST_TAGS = 512
_MOST_BYTES = 2**16
_ORDERS = {b"II": "little", b"MM": "big"}


def texts_in(exif: bytes) -> dict[int, str]:
    """The texts of the first directory and of the one that it names, by tag; what is damaged is left out."""
    order = _ORDERS.get(exif[:2])
    if order is None:
        return {}
    found: dict[int, str] = {}
    inner = _read_directory(exif, order, _number(exif, 4, 4, order), found)
    if inner:
        _read_directory(exif, order, inner, found)
    return found


def _read_directory(exif: bytes, order: str, start: int, found: dict[int, str]) -> int:
    """Add a directory's texts; returns where the inner directory is, or 0."""
    inner = 0
    for i in range(min(_number(exif, start, 2, order), _MOST_TAGS)):
        at = start + 2 + 12 * i
        tag, kind, n = (_number(exif, at + skip, size, order) for skip, size in ((0, 2), (2, 2), (4, 4)))
        if tag == _INNER:
            inner = _number(exif, at + 8, 4, order)
        if tag not in _TEXTS or tag in found or kind not in (1, 2, 7):  # bytes, text, undefined
            continue
        place = at + 8 if n <= 4 else _number(exif, at + 8, 4, order)
        value = exif[place : place + min(n, _MOST_BYTES)]
        text = _comment(value) if tag == USER_COMMENT else value.partition(b"\0")[0].decode("utf-8", "replace")
        if text.strip():
            found[tag] = text.strip()
    return inner


def _comment(value: bytes) -> str:
    """A user comment: eight bytes that name its coding, and text."""
    coding, text = value[:8], value[8:]
    if coding.startswith(b"UNICODE"):
        # The byte order is that of the file, or the other one: programs differ. Latin letters show it.
        zeros = (text[::2].count(0), text[1::2].count(0))
        return text.decode("utf-16-be" if zeros[0] >= zeros[1] else "utf-16-le", "replace").strip("\0")
    if coding.startswith((b"ASCII", b"\0\0\0\0")):
        return text.decode("utf-8", "replace").strip("\0")
    return value.decode("utf-8", "replace").strip("\0")


def _number(data: bytes, at: int, size: int, order: str) -> int:
    """0 beyond the end of the data."""
    return int.from_bytes(data[at : at + size], "little" if order == "little" else "big")
