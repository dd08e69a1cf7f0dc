"""Decode image files to upright RGB images.

Training, evaluation, export, the command line and the server all decode here, so one file always gets one answer.

JPEGs are decoded by Pillow's libjpeg-turbo. simplejpeg, a thinner wrapper of the same library, gives the same bytes (a
test checks this) in half to three quarters of the time. But it gives an array, and copying that into the Pillow image
that resampling needs takes the time that was saved (``benchmarks/decode_speed.py``).
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
    features,
)
from PIL import __version__ as pillow_version

from facevalue.errors import ImageError, ImageTooLargeError, UsageError
from facevalue.images import jpeg_end
from facevalue.images.colour import Stored, stored, to_rgb
from facevalue.images.orientation import orientation_of, turned
from facevalue.images.resize import Box
from facevalue.images.signatures import HEAD, foreign_format, image_format

MAX_PIXELS = 89_478_485
"""Most pixels an image may have before it is decoded (about 9,400 x 9,400). ``FACEVALUE_MAX_PIXELS`` lowers it."""

# Importing a plugin registers its formats. Pillow would otherwise import all of its fifty at the first image.
_PLUGINS = (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "BMP", "DIB", "TIFF", "GIF", "AVIF", "HEIF", "PPM")

# EXIF orientation: which of the stored edges (0 left, 1 top, 2 right, 3 bottom) become the upright image's.
_EDGES = dict(enumerate("2103 2301 0321 1032 3012 3210 1230".split(), start=2))


def decoder_version() -> str:
    """The libraries that decode and resample here. With other versions, network inputs may differ by one level."""
    turbo = features.version_feature("libjpeg_turbo")
    others = ((name, features.version(name)) for name in ("webp", "avif", "littlecms2"))
    parts = [f"pillow {pillow_version}", f"libjpeg-turbo {turbo or 'none'}"]
    return ", ".join([*parts, *(f"{name} {version or 'none'}" for name, version in others)])


def pixel_limit() -> int:
    """The pixel limit: ``FACEVALUE_MAX_PIXELS`` if it is set and lower than :data:`MAX_PIXELS`, else that."""
    text = os.environ.get("FACEVALUE_MAX_PIXELS", "")
    if not text:
        return MAX_PIXELS
    if not text.isdigit() or int(text) == 0:
        raise UsageError(f"FACEVALUE_MAX_PIXELS should be a number of pixels, but is {text!r}")
    return min(int(text), MAX_PIXELS)


def read_bytes(path: Path) -> bytes:
    """A file's bytes; raises :class:`ImageError` with the reason if it cannot be read."""
    try:
        found = path.stat()
        mode = found.st_mode
        if stat.S_ISREG(mode):
            return _whole(path, found.st_size)
        # Reading a pipe that was left in a folder would block for ever; a pipe from a shell does not.
        if stat.S_ISFIFO(mode) and not str(path).startswith(("/dev/", "/proc/")):
            raise ImageError("is a pipe, not a file")
        if stat.S_ISCHR(mode) or stat.S_ISBLK(mode) or stat.S_ISSOCK(mode):
            raise ImageError("is a device or socket, not a file")  # reading some devices never ends
        return path.read_bytes()
    except OSError as error:
        raise ImageError(f"cannot be read: {os.strerror(error.errno or 0)}") from error


def _whole(path: Path, size: int) -> bytes:
    """A regular file's bytes, in half as many calls of the system as ``Path.read_bytes`` makes."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        parts = [os.read(descriptor, size + 1)]
        # One more byte was asked for, so a read of exactly the size has seen the end. Anything else is read on.
        while parts[-1] and sum(map(len, parts)) != size:
            parts.append(os.read(descriptor, 1 << 20))
    finally:
        os.close(descriptor)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def open_image(data: bytes, max_pixels: int | None = None) -> Image.Image:
    """Parse the header only: format, mode and size, checked against the pixel limit; nothing is decoded yet.

    Raises
    ------
    ImageError
        The bytes are no image in one of :data:`FORMATS`, or it has more than ``max_pixels`` pixels.
    """
    limit = pixel_limit() if max_pixels is None else min(max_pixels, MAX_PIXELS)
    if not data:
        raise ImageError("the file is empty")
    foreign = foreign_format(data[:HEAD])
    if foreign is not None:
        raise ImageError(f"is a file of the type {foreign}, which is not supported; convert it to PNG or JPEG")
    if image_format(data[:HEAD]) == "HEIF":
        _register_heif()
    try:
        image = Image.open(io.BytesIO(data), formats=_known_formats())
    # Pillow warns above its own limit, which is ours at most, and raises above twice that. The warning stays switched
    # on: warning filters belong to the whole process, and decoding threads would overwrite each other's.
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageTooLargeError(f"has more than the {limit:,} pixels allowed") from error
    except UnidentifiedImageError as error:
        raise ImageError("is not an image in a known format") from error
    except Exception as error:  # a damaged header can raise nearly anything in a decoder
        raise ImageError(f"is damaged: {_one_line(error)}") from error
    width, height = image.size
    if width * height > limit:
        raise ImageTooLargeError(f"has {width:,} x {height:,} pixels, more than the {limit:,} allowed")
    return image


def decode(data: bytes, max_pixels: int | None = None) -> Image.Image:
    """Decode to an upright 8-bit RGB image.

    The first frame is used. EXIF orientation is applied. 16-bit grey keeps its high byte; grey with white as zero is
    inverted. Embedded colour profiles and CMYK are converted to sRGB. Transparency becomes white.

    Parameters
    ----------
    data : bytes of an image file.
    max_pixels : limit checked before decoding; :func:`pixel_limit` by default.

    Raises
    ------
    ImageError
        The bytes are not an image, are truncated, have too many pixels, have pixels of unknown range (float, signed,
        32 bits), or are a camera's raw file with only a preview.
    """
    return decode_reduced(data, lambda _width, _height: 1, max_pixels)[0]


def decode_reduced(
    data: bytes,
    reduction: Callable[[int, int], int],
    max_pixels: int | None = None,
    opened: Image.Image | None = None,
) -> tuple[Image.Image, Box]:
    """As :func:`decode`, but a JPEG may be decoded at a half, a quarter or an eighth of its size.

    libjpeg-turbo then computes only the low frequencies of each 8 x 8 block, which is several times faster.

    Parameters
    ----------
    reduction : function of the stored width and height that returns 1, 2, 4 or 8. Used for 8-bit grey, YCbCr and RGB
        JPEGs; other images are decoded in full size.
    opened : what :func:`open_image` gave for these bytes, if they were opened already; it may be used up.

    Returns
    -------
    The upright image, and the box in it that the original covers. A side that is not a multiple of the reduction is
    rounded up; the box then ends inside the last pixel.
    """
    ending = jpeg_end.ending_of(data) if data[:2] == b"\xff\xd8" else None
    if ending is not None and ending.missing:
        open_image(data, max_pixels)  # errors in the header are reported first
        raise ImageError("is truncated")
    if ending is None:
        return _decoded(data, reduction, max_pixels, opened)
    if ending.scans == 1:
        # Without an end marker, the decoder reports missing data instead of filling in grey.
        return _decoded(data[: ending.end] + jpeg_end.PADDING, reduction, max_pixels)
    # With several scans the decoder needs the end marker. If the last scan is cut, bytes behind it change the image.
    image, box = _decoded(data, reduction, max_pixels)
    other = data[: ending.end] + jpeg_end.GARBAGE + b"\xff\xd9"
    if _decoded(other, reduction, max_pixels)[0].tobytes() != image.tobytes():
        raise ImageError("is truncated")
    return image, box


def _decoded(
    data: bytes, reduction: Callable[[int, int], int], max_pixels: int | None, opened: Image.Image | None = None
) -> tuple[Image.Image, Box]:
    image = open_image(data, max_pixels) if opened is None else opened
    try:
        margins = _reduce(image, reduction(*image.size))
        how: Stored = stored(image)
        image.load()
        orientation = orientation_of(image)
        image = turned(to_rgb(image, how), orientation)
        left, top, right, bottom = (margins[int(edge)] for edge in _EDGES.get(orientation, "0123"))
        return image, (left, top, image.width - right, image.height - bottom)
    except ImageError:
        raise
    except OSError as error:
        text = _one_line(error)
        raise ImageError("is truncated" if "truncated" in text else f"is damaged: {text}") from error
    except Exception as error:
        raise ImageError(f"is damaged: {_one_line(error)}") from error


def upright_rgb(image: Image.Image) -> Image.Image:
    """A Pillow image as upright 8-bit RGB, as :func:`decode` returns it for a file; the given image is not changed.

    Raises
    ------
    ImageError
        It comes from a damaged file, or has pixels of unknown range (float, signed, 32 bits).
    """
    try:
        how = stored(image)
        image.load()
        return turned(to_rgb(image, how), orientation_of(image))
    except ImageError:
        raise
    except Exception as error:  # Pillow may read the file only now, which can raise nearly anything
        raise ImageError(f"is damaged: {_one_line(error)}") from error


def _reduce(image: Image.Image, reduction: int) -> tuple[float, ...]:
    """Set a JPEG's reduction before decoding; returns by how much it will exceed the original on each side."""
    if reduction == 1 or not isinstance(image, JpegImagePlugin.JpegImageFile) or image.mode not in ("L", "RGB"):
        return (0, 0, 0, 0)
    width, height = image.size
    # Pillow takes the largest reduction that leaves at least this size.
    drafted = image.draft(None, (max(1, width // reduction), max(1, height // reduction)))
    if drafted is None:
        return (0, 0, 0, 0)
    return (0, 0, image.width - drafted[1][2], image.height - drafted[1][3])


@lru_cache(maxsize=1)
def _register_heif() -> None:
    try:
        import pillow_heif  # type: ignore[import-not-found, unused-ignore]
    except ImportError as error:
        raise ImageError("is a HEIC image; to read it, run: pip install 'facevalue[heic]'") from error
    pillow_heif.register_heif_opener()


def _known_formats() -> list[str]:
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
