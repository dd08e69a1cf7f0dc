"""Recognise file types by their first bytes, independent of the file name."""

from __future__ import annotations

import re

HEAD = 512
"""Number of bytes from the beginning of a file that are needed here."""

_HEIF = frozenset(b"heic heix heim heis hevc hevx hevm hevs mif1 mif2 msf1".split())
_NETPBM = re.compile(rb"P[1-6](\s+|\s*#[^\n]*\n)+\d+\s")
_STARTS = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
)

# Types that hold or may hold images but are not supported.
_FOREIGN = (
    (b"8BPS", "Photoshop"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"II\xbc\x01", "JPEG XR"),
    (b"IIRO", "camera raw"),
    (b"IIRS", "camera raw"),
    (b"IIU\0", "camera raw"),
    (b"MMOR", "camera raw"),
    (b"FUJIFILMCCD-RAW", "camera raw"),
    (b"DDS ", "DDS"),
    (b"qoif", "QOI"),
    (b"v/1\x01", "OpenEXR"),
    (b"#?RADIANCE", "Radiance HDR"),
    (b"SIMPLE  =", "FITS"),
    (b"gimp xcf", "GIMP"),
    (b"\0\0\1\0", "icon"),
    (b"icns", "icon"),
    (b"\x01\xda\x00\x01", "SGI"),
    (b"\x01\xda\x01\x01", "SGI"),
    (b"\x0a\x05\x01\x08", "PCX"),
    (b"PF\n", "float map"),
    (b"Pf\n", "float map"),
    (b"P7\n", "PAM"),
    (b"%PDF", "PDF"),
    (b"%!PS", "PostScript"),
    (b"\x93NUMPY", "NumPy array"),
    (b"\x89HDF\r\n\x1a\n", "HDF5"),
    (b"PK\x03\x04", "zip archive"),
    (b"7z\xbc\xaf\x27\x1c", "7z archive"),
    (b"Rar!", "rar archive"),
    (b"\x1f\x8b", "gzip archive"),
    (b"\x1aE\xdf\xa3", "video"),
    (b"\0\0\1\xba", "video"),
)
_FOREIGN_BRANDS = {b"crx ": "camera raw", b"qt  ": "video", b"isom": "video", b"mp41": "video", b"mp42": "video"}


def image_format(head: bytes) -> str | None:
    """The supported image format of a file with these first bytes; ``None`` if there is none.

    >>> image_format(b"GIF89a..."), image_format(b"hello")
    ('GIF', None)
    """
    if head[:4] in (b"II*\0", b"MM\0*") and head[8:10] == b"CR":
        return None  # a camera's raw file that looks like a TIFF
    for start, name in _STARTS:
        if head.startswith(start):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[4:8] == b"ftyp":
        brands = _brands(head)
        if brands & {b"avif", b"avis"}:
            return "AVIF"
        return "HEIF" if brands & _HEIF else None
    if (
        head[:2] == b"BM"
        and len(head) >= 18
        and int.from_bytes(head[14:18], "little") in (12, 16, 40, 52, 56, 64, 108, 124)
    ):
        return "BMP"
    return "PPM" if _NETPBM.match(head) else None


def foreign_format(head: bytes) -> str | None:
    """The type of an unsupported file that may hold an image (``Photoshop``, ``PDF``, ``video``, …), else ``None``.

    >>> foreign_format(b"8BPS....")
    'Photoshop'
    """
    if head[:4] in (b"II*\0", b"MM\0*") and head[8:10] == b"CR":
        return "camera raw"
    if head[4:8] == b"ftyp":
        return _FOREIGN_BRANDS.get(head[8:12])
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return "video"
    if head[128:132] == b"DICM":
        return "DICOM"
    if b"<svg" in head[:HEAD]:
        return "SVG"
    return next((name for start, name in _FOREIGN if head.startswith(start)), None)


def _brands(head: bytes) -> set[bytes]:
    """The major and the compatible brands of an ISO media file."""
    end = min(int.from_bytes(head[:4], "big"), len(head))
    return {head[8:12], *(head[i : i + 4] for i in range(16, end - 3, 4))}
