"""What one image file is: its bytes, its header, how it was saved, and what it roughly looks like."""

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

VERSION = f"3.{hashes.VERSION}"
"""Changes when a fact is computed in another way; facts of different versions are not mixed."""

NOTHING: dict[str, Any] = {
    "sha256": "",
    "phash": "",
    "width": 0,  # as stored
    "height": 0,
    "format": "",
    "mode": "",  # Pillow's, as stored
    "bytes": 0,
    "exif": False,  # whether it carries EXIF
    "icc": False,  # whether it carries a colour profile
    "progressive": False,
    "sampling": "",  # of a JPEG's brightness against its colour, e.g. 2x2
    "jpeg_tables": "",  # see jpeg_tables.digest
    "jpeg_quality": 0,
    "darkest": 0,  # 1st and 99th percentile of brightness, 0 to 255
    "brightest": 0,
    "sharpness": 0.0,
    "error": "",  # why it cannot be read
}
"""The facts, with the values of a file that cannot be opened."""

_LOOK = 256  # longest side, in pixels, of the grey image that is looked at
_EXIF_IN_TIFF = 34665


def facts_of(path: Path) -> dict[str, Any]:
    """The facts :data:`NOTHING` names; a file that is no image has the reason in ``error``."""
    facts = dict(NOTHING)
    try:
        return facts_of_bytes(decoding.read_bytes(path))
    except ImageError as error:
        return facts | {"error": str(error)}


def facts_of_bytes(data: bytes) -> dict[str, Any]:
    """The facts of an image file's bytes; the reason in ``error`` where they are no image."""
    facts = NOTHING | {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    try:
        facts |= _header(decoding.open_image(data))
        image, _ = decoding.decode_reduced(data, _reduction)
    except ImageError as error:
        return facts | {"error": str(error)}
    return facts | _look(image)


def sha256_of(image: bytes | NDArray[np.uint8]) -> str:
    """SHA-256 of a file's bytes, or of the shape and pixels (h, w, 3) of an image that is no file."""
    if isinstance(image, bytes):
        return hashlib.sha256(image).hexdigest()
    height, width = image.shape[:2]
    return hashlib.sha256(f"{height} {width}\n".encode() + np.ascontiguousarray(image).tobytes()).hexdigest()


def facts_of_pixels(pixels: NDArray[np.uint8]) -> dict[str, Any]:
    """The facts of an image (h, w, 3) RGB that is no file; ``sha256`` is over its shape and pixels."""
    height, width = pixels.shape[:2]
    own = {
        "bytes": pixels.nbytes,
        "sha256": sha256_of(pixels),
        "width": width,
        "height": height,
        "format": "array",
        "mode": "RGB",
    }
    return NOTHING | own | _look(Image.fromarray(pixels))


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
    # The whole file is read either way, so that one that is cut off is found.
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
    """The variance of the Laplacian (Pech-Pacheco et al. 2000) over that of the image, so that contrast cancels out.

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
