"""Texts in IPTC-IIM data (version 4.2), which Photoshop's image resources of a JPEG hold."""

from __future__ import annotations

CREDIT, PROGRAM = 110, 65
"""Datasets of record 2: the credit line, and the program that made the file."""

_IPTC = 0x0404
_MOST = 1000


def texts_in(resources: bytes) -> dict[int, str]:
    """The credit line and the program, by dataset, where they are."""
    found: dict[int, str] = {}
    data = _resource(resources, _IPTC)
    at = 0
    for _ in range(_MOST):
        if at + 5 > len(data) or data[at] != 0x1C:
            break
        record, dataset, size = data[at + 1], data[at + 2], int.from_bytes(data[at + 3 : at + 5], "big")
        if size & 0x8000:  # an extended dataset, which none of these needs
            break
        if record == 2 and dataset in (CREDIT, PROGRAM):
            text = data[at + 5 : at + 5 + size].decode("utf-8", "replace").strip()
            if text:
                found.setdefault(dataset, text)
        at += 5 + size
    return found


def _resource(resources: bytes, wanted: int) -> bytes:
    """The content of one of Photoshop's image resources; empty if it is not there."""
    at = 0
    for _ in range(_MOST):
        if resources[at : at + 4] != b"8BIM":
            break
        name = 1 + resources[at + 6] if at + 6 < len(resources) else 1
        start = at + 6 + name + name % 2
        size = int.from_bytes(resources[start : start + 4], "big")
        if int.from_bytes(resources[at + 4 : at + 6], "big") == wanted:
            return resources[start + 4 : start + 4 + size]
        at = start + 4 + size + size % 2
    return b""
