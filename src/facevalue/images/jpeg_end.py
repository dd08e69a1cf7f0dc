"""Detect truncated JPEGs: libjpeg silently fills missing data with grey if an end marker follows."""

from __future__ import annotations

import re
from dataclasses import dataclass

# In entropy-coded data FF is followed by 00, a restart marker or more FFs; anything else ends the data.
_MARK = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)
_EOI, _SOS = 0xD9, 0xDA
_FRAMES = (0xC0, 0xC1, 0xC2, 0xC9, 0xCA)

PADDING = bytes(16)
"""A decoder may read a little beyond the last bit that it needs; at most a few blocks could be decoded from this."""

GARBAGE = b"\x5a" * 4096
"""Arbitrary bytes to append to the last scan."""


@dataclass(frozen=True)
class Ending:
    """How a JPEG's image data ends.

    Attributes
    ----------
    end : position at which the data of the last scan ends.
    scans : their number.
    missing : whether a scan that the image needs is missing.
    """

    end: int
    scans: int
    missing: bool


def ending_of(data: bytes) -> Ending | None:
    """How the first image in a JPEG file ends; ``None`` if its segments are not valid or there is no end marker.

    Only headers are read, and the data between them is searched for markers: about one millisecond per megabyte.
    """
    components: list[int] = []
    lowest: dict[int, list[int]] = {}  # by component, for each of 64 coefficients: the lowest bit in its last scan
    position, scans, end = 2, 0, 0
    while True:
        mark = _MARK.search(data, position)
        if mark is None:
            return None
        # A marker usually follows its predecessor's segment directly; libjpeg skips any bytes in between.
        position, kind = mark.end(), data[mark.start() + 1]
        if scans:
            end = end or mark.start()
        if kind == _EOI or (scans and kind in (0x01, *range(0x02, 0xC0))):
            break
        if kind == 0x01:
            continue
        length = int.from_bytes(data[position : position + 2], "big")
        body = data[position + 2 : position + length]
        if length < 2 or len(body) != length - 2:
            return None
        if kind in _FRAMES and not components:
            components = [body[6 + 3 * i] for i in range(body[5])] if len(body) >= 6 + 3 * body[5] else []
        elif kind == _SOS:
            scans, end = scans + 1, 0
            count = body[0] if body else 0
            if len(body) < 4 + 2 * count:
                return None
            first, last, low = body[-3], body[-2], body[-1] & 15
            for i in range(count):
                given = lowest.setdefault(body[1 + 2 * i], [-1] * 64)
                given[first : last + 1] = [low] * len(given[first : last + 1])
        position += length
    if not scans or not components:
        return None
    # Colour components may have no AC scan, because encoders leave empty scans out. A scan that was begun must be
    # refined to the last bit.
    missing = (
        any(c not in lowest or lowest[c][0] != 0 for c in components)
        or -1 in lowest[components[0]]
        or any(max(given) > 0 for given in lowest.values())
    )
    return Ending(end or len(data), scans, missing)
