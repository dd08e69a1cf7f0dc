"""The drawn files are what they say, and the same at every draw."""

from __future__ import annotations

import io
import re

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

from facevalue.images.decoding import decode
from facevalue.images.parity import FEWEST, ParityFile, one_per_kind, parity_files
from facevalue.images.parity.png import png
from facevalue.images.parity.profiles import profile


def of_kind(kind: str) -> ParityFile:
    return next(file for file in parity_files() if file.kind == kind)


def opened(kind: str) -> Image.Image:
    return Image.open(io.BytesIO(of_kind(kind).data))


def test_there_are_enough_files_of_every_kind() -> None:
    files = parity_files()
    assert len(files) >= FEWEST
    assert len({file.name for file in files}) == len(files)
    assert [file.name for file in files] == sorted(file.name for file in files)
    kinds = {file.kind for file in files}
    for wanted in """
        jpeg 4:4:4|jpeg 4:2:0|jpeg progressive|jpeg grey|jpeg CMYK|jpeg EXIF orientation 6|jpeg ICC srgb|
        jpeg ICC display-p3|png grey|png palette|png alpha|png RGB 16 bits|png grey 16 bits|webp lossy|webp lossless|
        avif|gif|bmp RGB|tiff RGB|png with pixel lines|png 1 x 37 pixels|12 megapixels jpeg
    """.replace("\n", "").split("|"):
        assert wanted.strip() in kinds
    assert [file.kind[:13] for file in files[-2:]] == ["12 megapixels"] * 2
    small = parity_files(large=False)
    assert small == files[:-2]
    assert {file.kind for file in one_per_kind()} == {file.kind for file in small}


def test_the_same_bytes_at_every_draw() -> None:
    first = [(file.name, file.data) for file in one_per_kind()]
    parity_files.cache_clear()
    assert [(file.name, file.data) for file in one_per_kind()] == first


def test_every_file_can_be_read_and_small_ones_differ() -> None:
    small = [file for file in parity_files(large=False) if not re.search(r"\b1 x 1 pixels", file.kind)]
    images = [decode(file.data) for file in small]
    assert len({(image.size, image.tobytes()) for image in images}) == len(images)


@pytest.mark.parametrize(
    ("kind", "form", "mode"),
    [
        ("jpeg grey", "JPEG", "L"),
        ("jpeg CMYK", "JPEG", "CMYK"),
        ("png palette", "PNG", "P"),
        ("png 1 bit", "PNG", "1"),
        ("png alpha", "PNG", "RGBA"),
        ("png grey 16 bits", "PNG", "I;16"),
        ("webp alpha", "WEBP", "RGBA"),
        ("gif", "GIF", "P"),
        ("tiff CMYK", "TIFF", "CMYK"),
        ("tiff grey 16 bits", "TIFF", "I;16"),
    ],
)
def test_modes(kind: str, form: str, mode: str) -> None:
    image = opened(kind)
    assert (image.format, image.mode) == (form, mode)


def test_jpegs_are_sampled_as_they_say() -> None:
    layers = {kind: opened(f"jpeg {kind}").layer for kind in ("4:4:4", "4:2:2", "4:2:0")}  # type: ignore[attr-defined]
    assert {kind: layer[0][1:3] for kind, layer in layers.items()} == {
        "4:4:4": (1, 1),
        "4:2:2": (2, 1),
        "4:2:0": (2, 2),
    }
    assert opened("jpeg progressive").info["progressive"]
    assert opened("jpeg EXIF orientation 6").getexif()[0x0112] == 6
    assert opened("12 megapixels jpeg").size == (4000, 3000)


@pytest.mark.parametrize(("bits", "channels"), [(1, 1), (2, 1), (4, 1), (8, 3), (16, 1), (16, 3), (16, 4)])
@pytest.mark.parametrize("interlaced", [False, True])
def test_png_against_opencv(bits: int, channels: int, interlaced: bool) -> None:
    shape = (13, 21, channels) if channels > 1 else (13, 21)
    pixels = np.random.default_rng(bits).integers(0, 2**bits, shape, dtype=np.uint16)
    data = np.frombuffer(png(pixels, bits, interlaced=interlaced), np.uint8)
    read = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    order = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[channels]
    read = read[..., order] if channels > 1 else read
    assert np.array_equal(read, pixels * (255 // (2**bits - 1)) if bits < 8 else pixels)


# Display P3 to XYZ and XYZ to sRGB, D65, from the primaries of SMPTE EG 432-1 and IEC 61966-2-1.
P3 = np.array([[0.4865709, 0.2656677, 0.1982173], [0.2289746, 0.6917385, 0.0792869], [0.0, 0.0451134, 1.0439444]])
SRGB = np.array(
    [[3.2404542, -1.5371385, -0.4985314], [-0.9692660, 1.8760108, 0.0415560], [0.0556434, -0.2040259, 1.0572252]]
)


def test_a_wide_gamut_profile_against_the_closed_form() -> None:
    colours = np.array([[150, 100, 100], [60, 90, 120], [128, 128, 128], [200, 190, 150], [90, 110, 70]], np.uint8)
    x = colours / 255
    linear = np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4) @ P3.T @ SRGB.T
    expected = 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear.clip(0) ** (1 / 2.4) - 0.055)
    buffer = io.BytesIO()
    Image.fromarray(colours[None]).save(buffer, "PNG", icc_profile=profile("display-p3"))
    assert np.abs(np.asarray(decode(buffer.getvalue()))[0] - expected).max() <= 1.5


@pytest.mark.parametrize("space", ["display-p3", "adobe-rgb", "prophoto-rgb", "grey-1.8"])
def test_profiles_are_read_by_littlecms_and_change_colours(space: str) -> None:
    read = ImageCms.ImageCmsProfile(io.BytesIO(profile(space)))  # type: ignore[arg-type]
    assert ImageCms.getProfileDescription(read).strip() == space
    with_profile = of_kind(f"jpeg ICC {space}").data
    plain = Image.open(io.BytesIO(with_profile)).convert("RGB")
    assert np.abs(np.asarray(decode(with_profile), int) - np.asarray(plain, int)).max() > 5
