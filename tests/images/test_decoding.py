"""Every kind of file arrives as the right upright RGB."""

import io
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from facevalue.errors import ImageError
from facevalue.images.decoding import decode

# Four corners of different colours, so that no rotation or flip looks like another.
CORNERS = np.zeros((24, 16, 3), np.uint8)
CORNERS[:12, :8] = (255, 0, 0)
CORNERS[:12, 8:] = (0, 255, 0)
CORNERS[12:, :8] = (0, 0, 255)
CORNERS[12:, 8:] = (255, 255, 0)

# How an image is stored so that a viewer who follows the tag sees CORNERS (EXIF 2.32, tag 0x0112).
STORED = {
    1: CORNERS,
    2: CORNERS[:, ::-1],
    3: CORNERS[::-1, ::-1],
    4: CORNERS[::-1],
    5: CORNERS.transpose(1, 0, 2),
    6: np.rot90(CORNERS, 1),
    7: CORNERS[::-1, ::-1].transpose(1, 0, 2),
    8: np.rot90(CORNERS, -1),
}


def written(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def read(data: bytes) -> np.ndarray:
    image = decode(data)
    assert image.mode == "RGB"
    return np.asarray(image)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_exif_orientation_is_applied(orientation: int, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}.get(kind, {})
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation]))
    seen = read(written(stored, kind, exif=exif, **options))
    assert seen.shape == CORNERS.shape
    np.testing.assert_allclose(seen.astype(int), CORNERS, atol=12 if kind == "JPEG" else 0)


def test_grey_is_the_same_in_all_channels() -> None:
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    np.testing.assert_array_equal(read(written(Image.fromarray(grey), "PNG")), np.repeat(grey[..., None], 3, 2))


def test_one_bit_is_black_and_white() -> None:
    bits = np.eye(9, dtype=bool)
    np.testing.assert_array_equal(read(written(Image.fromarray(bits), "PNG"))[..., 0], bits * 255)


def test_palette() -> None:
    image = Image.fromarray(CORNERS).quantize(8)
    assert image.mode == "P"
    np.testing.assert_array_equal(read(written(image, "PNG")), CORNERS)


def test_palette_with_one_transparent_colour_is_laid_on_white() -> None:
    image = Image.fromarray(CORNERS).quantize(8)
    red = np.asarray(image)[0, 0]
    expected = CORNERS.copy()
    expected[:12, :8] = 255
    for data in (written(image, "PNG", transparency=int(red)), written(image, "GIF", transparency=int(red))):
        np.testing.assert_array_equal(read(data), expected)


def test_transparency_is_laid_on_white() -> None:
    rgba = np.zeros((8, 5, 4), np.uint8)
    rgba[..., 0], rgba[..., 3] = 200, np.linspace(0, 255, 5).astype(np.uint8)
    alpha = rgba[..., 3:].astype(float) / 255
    expected = rgba[..., :3] * alpha + 255 * (1 - alpha)
    for kind in ("PNG", "TIFF"):
        np.testing.assert_allclose(read(written(Image.fromarray(rgba), kind)), expected, atol=1)


def test_grey_with_transparency_is_laid_on_white() -> None:
    la = np.zeros((4, 4, 2), np.uint8)
    la[..., 0], la[:2, :, 1] = 40, 255
    seen = read(written(Image.fromarray(la), "PNG"))
    assert (seen[:2] == 40).all()
    assert (seen[2:] == 255).all()


def test_rgb_png_with_a_transparent_colour_is_laid_on_white() -> None:
    expected = CORNERS.copy()
    expected[:12, :8] = 255
    np.testing.assert_array_equal(read(written(Image.fromarray(CORNERS), "PNG", transparency=(255, 0, 0))), expected)


def test_cmyk_jpeg() -> None:
    # Ink of one colour each; the file is stored inverted, as Adobe does, and marked so.
    seen = read(written(Image.fromarray(CORNERS).convert("CMYK"), "JPEG", quality=100, subsampling=0))
    np.testing.assert_allclose(seen.astype(int), CORNERS, atol=12)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bit_grey_keeps_its_high_byte(kind: str) -> None:
    wide = np.linspace(0, 65535, 64, dtype=np.uint16).reshape(8, 8)
    image = Image.fromarray(wide)
    assert image.mode == "I;16"
    np.testing.assert_array_equal(read(written(image, kind))[..., 1], wide >> 8)


def test_sixteen_bit_colour_png() -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")

    wide = np.random.default_rng(0).integers(0, 65536, (6, 5, 3), dtype=np.uint16)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in wide)
    header = (5).to_bytes(4, "big") + (6).to_bytes(4, "big") + bytes([16, 2, 0, 0, 0])
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    np.testing.assert_array_equal(read(png), wide >> 8)


def test_float_pixels_have_no_known_range() -> None:
    with pytest.raises(ImageError, match="32-bit float"):
        decode(written(Image.fromarray(np.ones((4, 4), np.float32)), "TIFF"))


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF", "MPO"])
def test_the_first_of_several_frames_is_taken(kind: str) -> None:
    frames = [Image.new("RGB", (12, 9), color) for color in ("red", "blue", "lime")]
    options = {"WEBP": {"lossless": True}, "MPO": {"quality": 100}}.get(kind, {})
    data = written(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    with Image.open(io.BytesIO(data)) as image:
        assert image.n_frames == 3
    np.testing.assert_allclose(read(data).astype(int), np.asarray(frames[0]), atol=3)


@pytest.mark.parametrize("kind", ["BMP", "TIFF", "PNG", "WEBP", "AVIF", "JPEG"])
def test_formats_agree(kind: str) -> None:
    options = {
        "WEBP": {"lossless": True},
        "AVIF": {"quality": 100, "subsampling": "4:4:4"},
        "JPEG": {"quality": 100, "subsampling": 0},
    }
    seen = read(written(Image.fromarray(CORNERS), kind, **options.get(kind, {})))
    np.testing.assert_allclose(seen.astype(int), CORNERS, atol=12 if kind in ("JPEG", "AVIF") else 0)


def test_a_colour_profile_is_applied() -> None:
    # The same bytes mean another colour in another space: L*a*b* tells what sRGB should come out.
    lab = ImageCms.createProfile("LAB")
    srgb = ImageCms.createProfile("sRGB")
    plain = Image.new("RGB", (8, 8), (120, 60, 200))
    data = written(plain, "PNG", icc_profile=ImageCms.ImageCmsProfile(srgb).tobytes())
    np.testing.assert_allclose(read(data), np.asarray(plain), atol=1)
    wrong_mode = written(plain, "PNG", icc_profile=ImageCms.ImageCmsProfile(lab).tobytes())
    np.testing.assert_array_equal(read(wrong_mode), np.asarray(plain))  # a profile for another mode is ignored
    broken = written(plain, "PNG", icc_profile=b"no profile at all")
    np.testing.assert_array_equal(read(broken), np.asarray(plain))


def test_a_wide_profile_makes_colours_stronger() -> None:
    # A profile written by hand: sRGB's with the red and green primaries exchanged must exchange the colours.
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    tags = {bytes(profile[o : o + 4]): o for o in range(132, 132 + 12 * int.from_bytes(profile[128:132], "big"), 12)}
    red, green = tags[b"rXYZ"], tags[b"gXYZ"]
    profile[red : red + 4], profile[green : green + 4] = b"gXYZ", b"rXYZ"
    profile = profile.replace("sRGB built-in".encode("utf-16-be"), "twin built-in".encode("utf-16-be"))
    data = written(Image.new("RGB", (8, 8), (250, 10, 10)), "PNG", icc_profile=bytes(profile))
    np.testing.assert_allclose(read(data)[0, 0].astype(int), (10, 250, 10), atol=3)


def test_one_pixel() -> None:
    assert read(written(Image.new("RGB", (1, 1), (1, 2, 3)), "PNG")).tolist() == [[[1, 2, 3]]]


def test_no_format_is_lost_by_importing_few_plugins() -> None:
    """The formats are those that are known after all of Pillow's plugins are imported."""
    program = """
from facevalue.images import decoding
from PIL import Image
few = decoding._known_formats()
Image.init()
assert few == decoding._known_formats(), few
assert len(few) >= 9, few
"""
    subprocess.run([sys.executable, "-c", program], check=True)
