"""Facts of one image file: hash, header, encoding, and measures of what it looks like."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, JpegImagePlugin, TiffImagePlugin

from facevalue.data import hashes, jpeg_tables
from facevalue.data.hashes import phash
from facevalue.errors import ImageError
from facevalue.images import decoding
from facevalue.images.resize import thumbnail
from facevalue.marks.reader import kinds_in
from facevalue.support import files

IN_MEMORY = "array"
"""The format of an image that is no file."""

VERSION = f"4.{hashes.VERSION}"
"""Version of how facts are computed; facts of different versions are not mixed."""

EMPTY_FACTS: dict[str, Any] = {
    "sha256": "",
    "phash": "",
    "width": 0,  # as stored
    "height": 0,
    "format": "",
    "mode": "",  # Pillow's, as stored
    "bytes": 0,
    "exif": False,  # whether it carries EXIF
    "icc": False,  # whether it carries a colour profile
    "origin_marks": "",  # kinds of marks of its origin, by facevalue.marks
    "progressive": False,
    "sampling": "",  # chroma subsampling of a JPEG, e.g. 2x2
    "jpeg_tables": "",  # see jpeg_tables.digest
    "jpeg_quality": 0,
    "darkest": 0,  # 1st and 99th percentile of brightness, 0 to 255
    "brightest": 0,
    "sharpness": 0.0,
    "error": "",  # why it cannot be read
}
"""All facts, with the values for a file that cannot be opened."""

_LOOK = 256  # longest side, in pixels, of the grey image that is measured
_EXIF_IN_TIFF = 34665


def facts_of(path: Path) -> dict[str, Any]:
    """The facts in :data:`EMPTY_FACTS`; for a file that cannot be read, ``error`` has the reason."""
    if files.as_text(str(path)) != str(path):
        return EMPTY_FACTS | {"error": "has a name that is not UTF-8; rename it"}
    try:
        return facts_of_bytes(decoding.read_bytes(path))
    except ImageError as error:
        return EMPTY_FACTS | {"error": str(error)}


def facts_of_bytes(data: bytes) -> dict[str, Any]:
    """The facts of an image file's bytes; if they cannot be read, ``error`` has the reason."""
    own = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), "origin_marks": " ".join(kinds_in(data))}
    facts = EMPTY_FACTS | own
    try:
        opened = decoding.open_image(data)
        facts |= _header(opened)
        image, _ = decoding.decode_reduced(data, _reduction, opened=opened)
    except ImageError as error:
        return facts | {"error": str(error)}
    return facts | _look(image)


def sha256_of(image: bytes | NDArray[np.uint8]) -> str:
    """SHA-256 of a file's bytes, or of the shape and pixels of an array (h, w, 3)."""
    if isinstance(image, bytes):
        return hashlib.sha256(image).hexdigest()
    height, width = image.shape[:2]
    return hashlib.sha256(f"{height} {width}\n".encode() + np.ascontiguousarray(image).tobytes()).hexdigest()


def facts_of_pixels(pixels: NDArray[np.uint8]) -> dict[str, Any]:
    """The facts of an array (h, w, 3) RGB; ``sha256`` is over its shape and pixels."""
    height, width = pixels.shape[:2]
    own = {
        "bytes": pixels.nbytes,
        "sha256": sha256_of(pixels),
        "width": width,
        "height": height,
        "format": IN_MEMORY,
        "mode": "RGB",
    }
    return EMPTY_FACTS | own | _look(Image.fromarray(pixels))


def _look(image: Image.Image) -> dict[str, Any]:
    """What an image looks like, from a small grey copy."""
    grey = thumbnail(image.convert("L"), _LOOK, Image.Resampling.BILINEAR)
    look = np.asarray(grey)
    below = np.cumsum(grey.histogram())
    low, high = np.searchsorted(below, (0.01 * look.size, 0.99 * look.size))
    return {
        "phash": phash(grey).tobytes().hex(),
        "darkest": int(low),
        "brightest": int(high),
        "sharpness": sharpness(look),
    }


def _reduction(width: int, height: int) -> int:
    # The whole file is read in either case, so truncated files are found.
    return next((r for r in (8, 4, 2) if max(width, height) >= r * _LOOK), 1)


def _header(image: Image.Image) -> dict[str, Any]:
    found: dict[str, Any] = {
        "width": image.width,
        "height": image.height,
        "format": image.format or "",
        "mode": image.mode,
        "exif": _has_exif(image),
        "icc": bool(image.info.get("icc_profile")),
    }
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        _, across, down, _ = image.layer[0]
        found |= {
            "progressive": bool(image.info.get("progressive")),
            "sampling": f"{across}x{down}",
            "jpeg_tables": jpeg_tables.digest(image.quantization),
            "jpeg_quality": jpeg_tables.quality(image.quantization),
        }
    return found


def _has_exif(image: Image.Image) -> bool:
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return _EXIF_IN_TIFF in image.tag_v2
    return bool(image.info.get("exif"))


def sharpness(grey: NDArray[np.uint8]) -> float:
    """Variance of the Laplacian (Pech-Pacheco et al. 2000) divided by that of the image, so contrast cancels out.

    Parameters
    ----------
    grey : (h, w) uint8.

    Returns
    -------
    0 for a flat image, about 20 for noise; photographs lie between 0.01 and 2.
    """
    whole = grey.astype(np.float32)
    spread = _variance(whole)
    if spread == 0 or min(grey.shape) < 3:
        return 0.0
    middle = whole[1:-1, 1:-1]
    edges = whole[:-2, 1:-1] + whole[2:, 1:-1]
    edges += whole[1:-1, :-2]
    edges += whole[1:-1, 2:]
    edges -= 4 * middle
    return _variance(edges) / spread


def _variance(values: NDArray[np.float32]) -> float:
    flat = values.ravel()
    flat = flat - flat.mean()
    return float(flat @ flat / flat.size)
