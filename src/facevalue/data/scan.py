"""One pass over every file: can it be read, what is it, and what does it look like."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from facevalue import files, machine, pixels, progress
from facevalue.data.layout import Listed, list_files
from facevalue.data.manifest import COLUMNS, Manifest
from facevalue.errors import DataError, PictureError

HASH_SIDE = 16  # 16 x 16 frequencies: 256 bits


def scan(source: Path | str) -> Manifest:
    """Read every picture that ``source`` names.

    Files that cannot be read stay in the table with the reason in ``error``.

    Raises
    ------
    UsageError
        ``source`` is not there.
    DataError
        It has no readable picture at all.
    """
    source = Path(source)
    listed = list_files(source)
    rows = list(progress.track(machine.in_order(_row, listed), "reading pictures", total=len(listed)))
    table = pd.DataFrame(rows)
    table = table[[*COLUMNS, *(c for c in table.columns if c not in COLUMNS)]]
    manifest = Manifest(table=table, source=str(source))
    if manifest.readable.empty:
        first = manifest.unreadable[0]
        raise DataError(f"none of the {len(table)} files in {source} can be read; {first['path']} {first['reason']}")
    return manifest


def _row(file: Listed) -> dict[str, object]:
    row: dict[str, object] = dict(file.extra)
    row |= {
        "path": files.as_text(str(file.path)),
        "key": files.as_text(file.key),
        "label": files.as_text(file.label),
        "group": files.as_text(str(row.get("group", file.parent))),
        "split": file.split,
        "sha256": "",
        "phash": "",
        "width": 0,
        "height": 0,
        "format": "",
        "mode": "",
        "bytes": 0,
        "error": "",
    }
    if row["path"] != str(file.path):
        return row | {"error": "has a name that is not UTF-8, which no table can hold; rename it"}
    try:
        data = pixels.read_bytes(file.path)
        row["bytes"] = len(data)
        row["sha256"] = hashlib.sha256(data).hexdigest()
        header = pixels.open_picture(data)
        row |= {"width": header.width, "height": header.height, "format": header.format or "", "mode": header.mode}
        row["phash"] = phash(pixels.decode(data)).tobytes().hex()
    except PictureError as error:
        row["error"] = str(error)
    return row


def phash(image: Image.Image) -> NDArray[np.uint8]:
    """(32,) uint8: 256 bits of which low frequencies of the grey picture lie above their median.

    Survives resizing and JPEG; after the DCT hash of Zauner 2010, with 16 x 16 frequencies of a 64 x 64 picture.
    """
    from scipy.fft import dctn

    side = 4 * HASH_SIDE
    grey = np.asarray(image.convert("L").resize((side, side), Image.Resampling.LANCZOS), dtype=np.float32)
    low = dctn(grey, norm="ortho")[:HASH_SIDE, :HASH_SIDE].ravel()
    # Rounded, so that a flat picture's noise around zero does not become bits.
    low = np.round(low, 2)
    return np.packbits(low > np.median(low[1:]))
