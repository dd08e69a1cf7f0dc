"""PNG files that Pillow cannot write: 16-bit colour, few bits of grey, one transparent colour, interlaced."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}  # by channels: grey, grey and alpha, RGB, RGB and alpha

# Adam7: the first column and row, and the steps, of each pass.
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def png(
    pixels: NDArray[np.integer], bits: int, chunks: tuple[tuple[bytes, bytes], ...] = (), interlaced: bool = False
) -> bytes:
    """A PNG file (ISO/IEC 15948).

    Parameters
    ----------
    pixels : (h, w) grey, (h, w, 2) grey and alpha, (h, w, 3) RGB, or (h, w, 4) RGB and alpha; below ``2 ** bits``.
    bits : of a sample: 1, 2, 4 (grey alone), 8 or 16.
    chunks : further chunks before the pixels, by type.
    """
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    height, width, channels = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, bits, _COLOUR_TYPES[channels], 0, 0, int(interlaced))
    parts = [pixels[y::down, x::right] for x, y, right, down in _ADAM7] if interlaced else [pixels]
    rows = b"".join(b"\0" + _row(row, bits) for part in parts if part.size for row in part)
    body = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(rows, 1)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, data) for name, data in body)


def _row(row: NDArray[np.integer], bits: int) -> bytes:
    if bits == 16:
        return row.astype(">u2").tobytes()
    if bits == 8:
        return row.astype(np.uint8).tobytes()
    digits = row[:, 0, None] >> np.arange(bits - 1, -1, -1) & 1
    return np.packbits(digits.astype(np.uint8).ravel()).tobytes()


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
