"""What a file carries beside its pixels, and the limits of what is read of it."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

MOST_BYTES = 2**20
"""Most bytes of one block of metadata, unpacked; longer ones are cut."""

MOST_TEXTS = 64
"""Most text entries of one file."""

MOST_PARTS = 100_000
"""Most segments or chunks of one file that are looked at."""


@dataclass
class Blocks:
    """The metadata of one file, not interpreted.

    Attributes
    ----------
    xmp : XMP packets as text.
    exif : a TIFF structure, from its byte order mark on.
    iptc : Photoshop's image resources, in which IPTC-IIM lies.
    texts : text entries of a PNG, by key, and comments of a JPEG with the key ``Comment``.
    """

    xmp: str = ""
    exif: bytes = b""
    iptc: bytes = b""
    texts: list[tuple[str, str]] = field(default_factory=list)

    def add_xmp(self, packet: bytes) -> None:
        """Add a packet, unless there is enough already."""
        if len(self.xmp) < MOST_BYTES:
            self.xmp += packet[:MOST_BYTES].decode("utf-8", "replace")

    def add_text(self, key: str, value: str) -> None:
        """Add an entry, unless there are too many already."""
        if len(self.texts) < MOST_TEXTS:
            self.texts.append((key, value))


def inflated(packed: bytes) -> bytes:
    """The first :data:`MOST_BYTES` bytes that zlib data hold; fewer, or none, if the data are damaged."""
    try:
        return zlib.decompressobj().decompress(packed, MOST_BYTES)
    except zlib.error:
        return b""
