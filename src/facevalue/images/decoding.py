"""From file bytes to the network input: decoding and preprocessing, the same everywhere.

Training, evaluation, export, the command line and the server all come through here, so that one file gets one answer.

JPEGs are decoded by the libjpeg-turbo that Pillow carries. simplejpeg, a thinner cover of the same library, gives the
same bytes (a test holds it) in half to three quarters of the time, but not as a Pillow image: copying its array into
one, which the resampling needs, takes what was won (``benchmarks/decode_speed.py``). So there is one decoder, no
second path that could give another answer, and no further package in the runtime.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from PIL import Image, JpegImagePlugin, UnidentifiedImageError, features
from PIL import __version__ as pillow_version

from facevalue.errors import ImageError, ImageTooLargeError, UsageError
from facevalue.images import jpeg_end
from facevalue.images.colour import Stored, stored, to_rgb
from facevalue.images.orientation import orientation_of, turned
from facevalue.images.resize import Box
from facevalue.images.signatures import HEAD, foreign_format, image_format

MAX_PIXELS = 89_478_485
"""Most pixels an image may have before it is decoded (about 9,400 x 9,400). ``FACEVALUE_MAX_PIXELS`` lowers it."""

FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "BMP", "DIB", "TIFF", "GIF", "AVIF", "HEIF", "PPM")

# EXIF orientation: which of the stored edges (0 left, 1 top, 2 right, 3 bottom) become the upright image's.
_EDGES = dict(enumerate("2103 2301 0321 1032 3012 3210 1230".split(), start=2))


def decoder_version() -> str:
    """What decodes and resamples here. Another version's network inputs may differ by a level."""
    turbo = features.version_feature("libjpeg_turbo")
    others = ((name, features.version(name)) for name in ("webp", "avif", "littlecms2"))
    parts = [f"pillow {pillow_version}", f"libjpeg-turbo {turbo or 'none'}"]
    return ", ".join([*parts, *(f"{name} {version or 'none'}" for name, version in others)])


def pixel_limit() -> int:
    """The pixel limit in force: ``FACEVALUE_MAX_PIXELS`` where it is set and lower than :data:`MAX_PIXELS`."""
    text = os.environ.get("FACEVALUE_MAX_PIXELS", "")
    if not text:
        return MAX_PIXELS
    if not text.isdigit() or int(text) == 0:
        raise UsageError(f"FACEVALUE_MAX_PIXELS should be a number of pixels, but is {text!r}")
    return min(int(text), MAX_PIXELS)


def read_bytes(path: Path) -> bytes:
    """A file's bytes; a :class:`ImageError` with the reason where it cannot be read."""
    try:
        mode = path.stat().st_mode
        # A pipe that someone left in a folder would be waited for without end; one that a shell hands over will not.
        if stat.S_ISFIFO(mode) and not str(path).startswith(("/dev/", "/proc/")):
            raise ImageError("is a pipe, not a file")
        if stat.S_ISCHR(mode) or stat.S_ISBLK(mode) or stat.S_ISSOCK(mode):
            raise ImageError("is a device or socket, not a file")  # some have no end
        return path.read_bytes()
    except OSError as error:
        raise ImageError(f"cannot be read: {os.strerror(error.errno or 0)}") from error


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
        raise ImageError(f"is not an image in a known format, but of the kind {foreign}; convert it to PNG or JPEG")
    if image_format(data[:HEAD]) == "HEIF":
        _register_heif()
    try:
        image = Image.open(io.BytesIO(data), formats=_known_formats())
    # Pillow warns above its own limit, which is ours at most, and raises above twice that. The warning is not switched
    # off: filters belong to the process, and threads that decode would change them under each other.
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageTooLargeError(f"has more than the {limit:,} pixels allowed") from error
    except UnidentifiedImageError as error:
        raise ImageError("is not an image in a known format") from error
    except Exception as error:  # a broken header can raise nearly anything in a decoder
        raise ImageError(f"is damaged: {_one_line(error)}") from error
    width, height = image.size
    if width * height > limit:
        raise ImageTooLargeError(f"has {width:,} x {height:,} pixels, more than the {limit:,} allowed")
    return image


def decode(data: bytes, max_pixels: int | None = None) -> Image.Image:
    """Decode to an upright 8-bit RGB image.

    The first frame is taken; EXIF orientation is applied; 16-bit greys keep their high byte, and those stored with
    white as zero are turned round; embedded colour profiles and CMYK are converted to sRGB; transparency is laid on
    white.

    Parameters
    ----------
    data : bytes of an image file.
    max_pixels : limit checked before decoding; :func:`pixel_limit` by default.

    Raises
    ------
    ImageError
        The bytes are no image, truncated, too large, or of a kind whose range is unknown (float, signed, 32 bits), or
        all that can be read is the preview in a camera's raw file.
    """
    return decode_reduced(data, lambda _width, _height: 1, max_pixels)[0]


def decode_reduced(
    data: bytes, reduction: Callable[[int, int], int], max_pixels: int | None = None
) -> tuple[Image.Image, Box]:
    """As :func:`decode`, but a JPEG may be decoded at a half, a quarter or an eighth of its size.

    libjpeg-turbo then computes only the low frequencies of each 8 x 8 block, which is several times faster.

    Parameters
    ----------
    reduction : from an image's width and height as stored, to 1, 2, 4 or 8. Followed for 8-bit grey, YCbCr and RGB
        JPEGs; every other image is decoded whole.

    Returns
    -------
    The upright image, and the box in it that the original covers: a side that the reduction does not divide is
    rounded up, and the last pixel is then only partly the image's.
    """
    ending = jpeg_end.ending_of(data) if data[:2] == b"\xff\xd8" else None
    if ending is not None and ending.missing:
        open_image(data, max_pixels)  # what is wrong with the header comes first
        raise ImageError("is truncated")
    if ending is None:
        return _decoded(data, reduction, max_pixels)
    if ending.scans == 1:
        # Without the end mark, a decoder that lacks data says so instead of filling in grey.
        return _decoded(data[: ending.end] + jpeg_end.PADDING, reduction, max_pixels)
    # Of several scans the decoder wants the end mark. Where the last one is cut, other bits behind it show.
    image, box = _decoded(data, reduction, max_pixels)
    other = data[: ending.end] + jpeg_end.GARBAGE + b"\xff\xd9"
    if _decoded(other, reduction, max_pixels)[0].tobytes() != image.tobytes():
        raise ImageError("is truncated")
    return image, box


def _decoded(data: bytes, reduction: Callable[[int, int], int], max_pixels: int | None) -> tuple[Image.Image, Box]:
    image = open_image(data, max_pixels)
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
    """A Pillow image as upright 8-bit RGB, as :func:`decode` gives it for a file; the one given stays as it is.

    Raises
    ------
    ImageError
        It comes from a file that is damaged, or is of a kind whose range is unknown (float, signed, 32 bits).
    """
    try:
        how = stored(image)
        image.load()
        return turned(to_rgb(image, how), orientation_of(image))
    except ImageError:
        raise
    except Exception as error:  # a decoder that reads a file only now can raise nearly anything
        raise ImageError(f"is damaged: {_one_line(error)}") from error


def _reduce(image: Image.Image, reduction: int) -> tuple[float, ...]:
    """Tell a JPEG its reduction before it is decoded; returns what will exceed it left, top, right and bottom."""
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
        raise ImageError("is a HEIC image; run: pip install pillow-heif, or 'facevalue[heic]'") from error
    pillow_heif.register_heif_opener()


def _known_formats() -> list[str]:
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
