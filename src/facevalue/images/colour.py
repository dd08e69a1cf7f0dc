"""Convert stored pixels to 8-bit sRGB: bit depths, palettes, transparency, CMYK and colour profiles."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageFile, TiffImagePlugin

from facevalue.errors import ImageError

SAME = 2
"""A profile whose colours differ from sRGB by at most this many levels of 255 counts as sRGB: pixels are unchanged."""

# Tags of TIFF 6.0.
_SUBFILE, _BITS, _PHOTOMETRIC, _LARGEST, _PALETTE, _SAMPLE_FORMAT = 254, 258, 262, 281, 320, 339
_REDUCED, _WHITE_IS_ZERO, _UNSIGNED, _FLOAT = 1, 0, (1, 4), 3
_SPACES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}  # colour spaces of profiles, and their Pillow modes


@dataclass(frozen=True)
class Stored:
    """Facts of a file that must be read before it is decoded.

    Attributes
    ----------
    profile : its ICC profile.
    raw : Pillow's name of the pixel storage format.
    white : value of white, for grey pixels with more than 8 bits.
    inverted : whether such pixels have white as zero.
    palette : TIFF palette of 256 x RGB, if it holds 8-bit values although the format requires 16-bit ones.
    low_bytes : image of the low bytes, for 16-bit colour with one transparent colour.
    """

    profile: bytes | None
    raw: str
    white: int = 65535
    inverted: bool = False
    palette: bytes | None = None
    low_bytes: Image.Image | None = None


def stored(image: Image.Image) -> Stored:
    """Read these facts from an image that is opened but not yet decoded.

    Raises
    ------
    ImageError
        The range of its pixels is unknown, or it is a camera's raw file, whose first image is a preview.
    """
    args = image.tile[0][3] if isinstance(image, ImageFile.ImageFile) and image.tile else ""
    raw = str(args[0] if isinstance(args, tuple) and args else args)
    profile = image.info.get("icc_profile") or None
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return _stored_tiff(image, profile, raw)
    return Stored(profile, raw, low_bytes=_low_bytes(image) if raw == "RGB;16B" else None)


def _low_bytes(image: Image.Image) -> Image.Image | None:
    """An image of the low bytes, for 16-bit colour with one transparent colour: decoded with swapped byte order."""
    if not isinstance(image.info.get("transparency"), tuple) or not isinstance(image, ImageFile.ImageFile):
        return None
    if not isinstance(image.fp, io.BytesIO):
        return None
    low = Image.open(io.BytesIO(image.fp.getvalue()), formats=[str(image.format)])
    assert isinstance(low, ImageFile.ImageFile)
    low.tile = [tile._replace(args="RGB;16L") for tile in low.tile]
    return low


def _stored_tiff(image: TiffImagePlugin.TiffImageFile, profile: bytes | None, raw: str) -> Stored:
    tags: Any = image.tag_v2
    if tags.get(_SUBFILE, 0) & _REDUCED:
        raise ImageError("holds only a preview, as cameras' raw files do; convert it to PNG or JPEG")
    bits, kinds = tags.get(_BITS, (1,)), tags.get(_SAMPLE_FORMAT, (1,))
    if _FLOAT in kinds:
        raise ImageError("has 32-bit float pixels, whose range is unknown; convert it to 8 or 16 bits")
    if any(kind not in _UNSIGNED for kind in kinds):
        raise ImageError("has signed pixels, whose range is unknown; convert it to 8 or 16 bits without a sign")
    if max(bits) > 16:
        raise ImageError(f"has {max(bits)}-bit pixels, whose range is unknown; convert it to 8 or 16 bits")
    white = (1 << max(bits)) - 1
    largest = tags.get(_LARGEST)
    if isinstance(largest, tuple):
        largest = max(largest)
    if isinstance(largest, int) and max(bits) > 8 and 255 <= largest < white:
        white = largest
    palette = tags.get(_PALETTE)
    eight_bits = bool(palette) and 0 < max(palette) < 256
    return Stored(
        profile,
        raw,
        white=white,
        inverted=tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO,
        palette=np.array(palette, np.uint8).reshape(3, -1).T.tobytes() if eight_bits else None,
    )


def to_rgb(image: Image.Image, how: Stored) -> Image.Image:
    """A decoded image as 8-bit sRGB, with transparent pixels on white.

    Raises
    ------
    ImageError
        The range of its pixels is unknown.
    """
    if image.mode == "F":
        raise ImageError("has 32-bit float pixels, whose range is unknown; convert it to 8 or 16 bits")
    if how.palette is not None and image.mode in ("P", "PA"):
        image = image.copy()
        image.putpalette(how.palette)
    alpha = _alpha(image, how)
    if image.mode.startswith("I"):
        image = _eight_bits(image, how)
    elif image.mode in ("LA", "La"):
        image = image.convert("LA").getchannel("L")
    elif image.mode == "1":
        image = image.convert("L")
    elif image.mode in ("P", "PA", "RGBA", "RGBa"):
        image = image.convert("RGBA").convert("RGB")
    rgb = _in_srgb(image, how.profile)
    if alpha is None:
        return rgb
    white = Image.new("RGBA", rgb.size, "white")
    return Image.alpha_composite(white, Image.merge("RGBA", (*rgb.split(), alpha))).convert("RGB")


def _eight_bits(image: Image.Image, how: Stored) -> Image.Image:
    """Grey with more than 8 bits as mode L: the high byte, as decoders do for 16-bit colour."""
    wide = np.asarray(image).astype(np.int64)
    if wide.min() < 0 or wide.max() > max(65535, how.white):
        raise ImageError("has pixels of more than 16 bits, whose range is unknown; convert it to 8 or 16 bits")
    white = how.white if wide.max() <= how.white else 65535
    if how.inverted:
        wide = white - wide
    # For 16 bits this is the high byte.
    return Image.fromarray((wide * 256 // (white + 1)).astype(np.uint8))


def _alpha(image: Image.Image, how: Stored) -> Image.Image | None:
    """Opacity as mode L; ``None`` if the format or mode has no transparency."""
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa"):
        return image.getchannel(len(image.getbands()) - 1)
    transparent = image.info.get("transparency")
    if transparent is None:
        return None
    if image.mode == "P":
        return image.convert("RGBA").getchannel("A")
    pixels = np.asarray(image)
    if how.low_bytes is not None and isinstance(transparent, tuple):
        colour = np.array(transparent, np.int64)
        pixels = pixels.astype(np.int64) * 256 + np.asarray(how.low_bytes)
        return _opaque_but((pixels == colour).all(axis=2))
    if image.mode == "RGB":
        return _opaque_but((pixels == np.array(transparent)).all(axis=2))
    if image.mode == "1":
        return _opaque_but(pixels == bool(transparent))
    if image.mode == "L" or image.mode.startswith("I"):
        # The value is as stored; decoding has scaled 2 and 4 bits to 8.
        step = {"L;2": 85, "L;4": 17}.get(how.raw, 1)
        return _opaque_but(pixels == transparent * step)
    return image.convert("RGBA").getchannel("A")


def _opaque_but(transparent: NDArray[np.bool_]) -> Image.Image:
    return Image.fromarray(np.where(transparent, 0, 255).astype(np.uint8))


def _in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """An image without transparency as RGB, converted by its profile if the profile fits the mode."""
    if image.mode == "LAB":
        lab = ImageCms.createProfile("LAB")
        converted = ImageCms.profileToProfile(image, lab, ImageCms.createProfile("sRGB"), outputMode="RGB")
        return converted or image.convert("RGB")
    if profile:
        try:
            space, transform = _srgb_transform(profile)
            if image.mode == "L" and space == "RGB":
                image = image.convert("RGB")
            if transform is not None and image.mode == space:
                return ImageCms.applyTransform(image, transform) or image.convert("RGB")
        except (ImageCms.PyCMSError, OSError, ValueError):
            pass  # a damaged profile is ignored; the plain conversion follows
    return image if image.mode == "RGB" else image.convert("RGB")


@lru_cache(maxsize=16)
def _srgb_transform(profile: bytes) -> tuple[str, ImageCms.ImageCmsTransform | None]:
    """The mode of a profile, and its transform to sRGB; ``None`` for a profile that hardly changes colours.

    Test colours decide this, not the profile's name.
    """
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    mode = _SPACES.get(source.profile.xcolor_space.strip(), "")
    if not mode:
        return "", None
    transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
    if mode == "CMYK":
        return mode, transform
    probe = _probe(mode)
    seen = ImageCms.applyTransform(probe, transform) or probe
    moved = np.abs(np.asarray(seen, np.int64) - np.asarray(probe.convert("RGB"), np.int64)).max()
    return mode, transform if moved > SAME else None


def _probe(mode: str) -> Image.Image:
    """A grid of RGB colours, or all greys."""
    if mode == "L":
        return Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    steps = np.linspace(0, 255, 18).astype(np.uint8)
    cube = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1)
    return Image.fromarray(cube.reshape(18, -1, 3))
