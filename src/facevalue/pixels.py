"""From file bytes to the network's square: decoding and geometry, the same everywhere.

Training, evaluation, export, the command line and the server all come through here, so that one file gets one answer.
"""

from __future__ import annotations

import io
import os
from functools import lru_cache
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from facevalue.errors import PictureError, PictureTooLargeError, UsageError

MAX_PIXELS = 89_478_485
"""Most pixels a picture may have before it is decoded (about 9,400 x 9,400). ``FACEVALUE_MAX_PIXELS`` lowers it."""

FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "BMP", "TIFF", "GIF", "AVIF", "HEIF")
SUFFIXES = frozenset(
    ".jpg .jpeg .jpe .jfif .png .apng .webp .bmp .dib .tif .tiff .gif .heic .heif .hif .avif .mpo".split()
)

_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}

Filter = Literal["nearest", "box", "bilinear", "bicubic", "lanczos"]
Fit = Literal["squash", "crop", "pad"]


def pixel_limit() -> int:
    """The pixel limit in force: ``FACEVALUE_MAX_PIXELS`` where it is set and lower than :data:`MAX_PIXELS`."""
    text = os.environ.get("FACEVALUE_MAX_PIXELS", "")
    if not text:
        return MAX_PIXELS
    if not text.isdigit() or int(text) == 0:
        raise UsageError(f"FACEVALUE_MAX_PIXELS should be a number of pixels, but is {text!r}")
    return min(int(text), MAX_PIXELS)


def read_bytes(path: Path) -> bytes:
    """A file's bytes; a :class:`PictureError` with the reason where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise PictureError(f"cannot be read: {os.strerror(error.errno or 0)}") from error


def open_picture(data: bytes, max_pixels: int | None = None) -> Image.Image:
    """Parse the header only: format, mode and size, checked against the pixel limit; nothing is decoded yet.

    Raises
    ------
    PictureError
        The bytes are no picture in one of :data:`FORMATS`, or it has more than ``max_pixels`` pixels.
    """
    limit = pixel_limit() if max_pixels is None else min(max_pixels, MAX_PIXELS)
    if not data:
        raise PictureError("the file is empty")
    if data[4:12] in (b"ftypheic", b"ftypheix", b"ftypheim", b"ftypheis", b"ftypmif1", b"ftypmsf1"):
        _register_heif()
    try:
        image = Image.open(io.BytesIO(data), formats=_known_formats())
    # Pillow warns above its own limit, which is ours at most, and raises above twice that. The warning is not switched
    # off: filters belong to the process, and threads that decode would change them under each other.
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise PictureTooLargeError(f"has more than the {limit:,} pixels allowed") from error
    except UnidentifiedImageError as error:
        raise PictureError("is not a picture in a known format") from error
    except Exception as error:  # a broken header can raise nearly anything in a decoder
        raise PictureError(f"is damaged: {_one_line(error)}") from error
    width, height = image.size
    if width * height > limit:
        raise PictureTooLargeError(f"has {width:,} x {height:,} pixels, more than the {limit:,} allowed")
    return image


def decode(data: bytes, max_pixels: int | None = None) -> Image.Image:
    """Decode to an upright 8-bit RGB picture.

    The first frame is taken; EXIF orientation is applied; 16-bit greys keep their high byte; transparency is laid on
    white; CMYK and embedded colour profiles are converted to sRGB.

    Parameters
    ----------
    data : bytes of a picture file.
    max_pixels : limit checked before decoding; :func:`pixel_limit` by default.

    Raises
    ------
    PictureError
        The bytes are no picture, truncated, too large, or of a kind whose range is unknown (32-bit float).
    """
    image = open_picture(data, max_pixels)
    try:
        image.load()
        profile = image.info.get("icc_profile")
        image = ImageOps.exif_transpose(image)
        return _to_rgb(image, profile)
    except PictureError:
        raise
    except OSError as error:
        text = _one_line(error)
        raise PictureError("is truncated" if "truncated" in text else f"is damaged: {text}") from error
    except Exception as error:
        raise PictureError(f"is damaged: {_one_line(error)}") from error


def _to_rgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    if image.mode == "F":
        raise PictureError("has 32-bit float pixels, whose range is unknown; convert it to 8 or 16 bits")
    if image.mode.startswith("I"):
        # 16-bit greys. The high byte, as decoders do for 16-bit colour.
        wide = np.asarray(image).astype(np.int64)
        image = Image.fromarray((np.clip(wide, 0, 65535) >> 8).astype(np.uint8))
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        image = Image.alpha_composite(white, rgba).convert("RGB")
    if profile and image.mode in ("RGB", "CMYK", "L"):
        image = _to_srgb(image, profile)
    return image if image.mode == "RGB" else image.convert("RGB")


def _to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    try:
        transform = _srgb_transform(profile, image.mode)
        return image if transform is None else ImageCms.applyTransform(image, transform) or image
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image  # a broken profile, or one for another mode, says nothing: the plain conversion stands


@lru_cache(maxsize=16)
def _srgb_transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    if mode == "RGB" and "srgb" in ImageCms.getProfileDescription(source).lower().replace(" ", ""):
        return None
    return ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")


@lru_cache(maxsize=1)
def _register_heif() -> None:
    try:
        import pillow_heif  # type: ignore[import-not-found, unused-ignore]
    except ImportError as error:
        raise PictureError("is a HEIC picture; run: pip install pillow-heif") from error
    pillow_heif.register_heif_opener()


def _known_formats() -> list[str]:
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


class Geometry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How an upright RGB picture becomes the network's square.

    Attributes
    ----------
    size : side of the square in pixels.
    fit : ``squash`` resizes both sides to ``size``; ``crop`` takes the central square; ``pad`` keeps all of the
        picture and fills the rest with mid grey.
    filter : resampling filter; all but ``nearest`` are antialiased.
    crop_fraction : share of the shorter side that ``crop`` keeps, in (0, 1].
    """

    size: int = 224
    fit: Fit = "squash"
    filter: Filter = "bicubic"
    crop_fraction: float = 1.0

    def __post_init__(self) -> None:
        if not 8 <= self.size <= 4096:
            raise UsageError(f"Expected size from 8 to 4096 pixels, but got {self.size}")
        if not 0 < self.crop_fraction <= 1:
            raise UsageError(f"Expected crop_fraction in (0, 1], but got {self.crop_fraction}")

    def apply(self, image: Image.Image) -> NDArray[np.uint8]:
        """The square as (size, size, 3) uint8 RGB.

        >>> Geometry(size=8).apply(Image.new("RGB", (30, 20), "red"))[0, 0].tolist()
        [255, 0, 0]
        """
        side, resample = self.size, _FILTERS[self.filter]
        width, height = image.size
        if self.fit == "squash":
            square = image if (width, height) == (side, side) else image.resize((side, side), resample)
        elif self.fit == "crop":
            edge = min(width, height) * self.crop_fraction
            left, top = (width - edge) / 2, (height - edge) / 2
            square = image.resize((side, side), resample, box=(left, top, left + edge, top + edge))
        else:
            scale = side / max(width, height)
            inner = (max(1, round(width * scale)), max(1, round(height * scale)))
            square = Image.new("RGB", (side, side), (128, 128, 128))
            square.paste(image.resize(inner, resample), ((side - inner[0]) // 2, (side - inner[1]) // 2))
        return np.asarray(square, dtype=np.uint8)

    def read(self, data: bytes, max_pixels: int | None = None) -> NDArray[np.uint8]:
        """File bytes to (size, size, 3) uint8 RGB; raises :class:`PictureError` as :func:`decode` does."""
        return self.apply(decode(data, max_pixels))
