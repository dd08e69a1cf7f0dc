"""Looking at pictures before learning from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from facevalue.data.scan import scan


def scan_data(data: Path | str) -> dict[str, Any]:
    """Read every picture and say what is wrong with them.

    Parameters
    ----------
    data : a folder with one sub-folder a class, one with ``train/`` and held-out folders, or a manifest.
    """
    manifest = scan(data)
    return {"n": len(manifest.readable), "unreadable": list(manifest.unreadable), "counts": manifest.counts()}
