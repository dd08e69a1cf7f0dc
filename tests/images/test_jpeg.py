"""JPEGs against a second decoder, in full and reduced size."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import simplejpeg
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from facevalue.errors import ImageError, ImageTooLargeError, UsageError
from facevalue.images.decoding import decode, decode_reduced
from facevalue.images.preprocessing import Preprocessing

SUBSAMPLINGS = ("444", "422", "420", "440", "411", "Gray")


def photo(width: int, height: int, seed: int = 0) -> NDArray[np.uint8]:
    """(h, w, 3) smooth colours with some noise: JPEG's own kind of image."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (max(2, height // 40), max(2, width // 40), 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)).astype(int)
    return np.clip(smooth + rng.normal(0, 6, smooth.shape), 0, 255).astype(np.uint8)


def saved(pixels: NDArray[np.uint8], kind: str = "JPEG", **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **options)
    return stream.getvalue()


def encoded(pixels: NDArray[np.uint8], subsampling: str, quality: int) -> bytes:
    """By the other library, which knows more kinds of subsampling than Pillow."""
    if subsampling == "Gray":
        pixels, space = np.ascontiguousarray(pixels[..., :1]), "GRAY"
    else:
        space = "RGB"
    return simplejpeg.encode_jpeg(pixels, quality, space, subsampling)


def other(data: bytes, reduction: int = 1) -> NDArray[np.uint8]:
    """simplejpeg's decoding at 1/reduction of the size."""
    width, height = Image.open(io.BytesIO(data)).size
    # It takes the smallest of its scales, down to an eighth, that leaves at least this.
    least = {"min_height": -(-height // reduction), "min_width": -(-width // reduction)} if reduction > 1 else {}
    return simplejpeg.decode_jpeg(data, colorspace="RGB", **least)


def assert_within_one_level(seen: Any, expected: Any) -> None:
    np.testing.assert_allclose(np.asarray(seen).astype(int), np.asarray(expected).astype(int), atol=1)


@given(
    st.sampled_from([(1, 1), (7, 3), (17, 31), (8, 8), (64, 33), (150, 97)]),
    st.sampled_from(SUBSAMPLINGS),
    st.integers(1, 100),
    st.integers(0, 3),
)
def test_two_decoders_agree(size: tuple[int, int], subsampling: str, quality: int, seed: int) -> None:
    data = encoded(photo(*size, seed), subsampling, quality)
    assert_within_one_level(decode(data), other(data))


@pytest.mark.parametrize("reduction", [2, 4, 8])
@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
@pytest.mark.parametrize("size", [(160, 128), (231, 173)])
def test_two_decoders_agree_on_reduced_images(size: tuple[int, int], subsampling: str, reduction: int) -> None:
    data = encoded(photo(*size), subsampling, 85)
    image, box = decode_reduced(data, lambda _width, _height: reduction)
    assert_within_one_level(image, other(data, reduction))
    assert box == (0, 0, size[0] / reduction, size[1] / reduction)


@pytest.mark.parametrize(
    "options",
    [
        {"progressive": True},
        {"progressive": True, "subsampling": 0},
        {"restart_marker_blocks": 3},
        {"restart_marker_rows": 1, "subsampling": 1},
        {"optimize": True},
        {"keep_rgb": True},
        {"quality": 100, "subsampling": 0},
        {"quality": 1},
    ],
    ids=str,
)
@pytest.mark.parametrize("reduction", [1, 2, 4, 8])
def test_two_decoders_agree_on_all_kinds_of_files(options: dict[str, Any], reduction: int) -> None:
    data = saved(photo(231, 173), **options)
    assert_within_one_level(decode_reduced(data, lambda _w, _h: reduction)[0], other(data, reduction))


@pytest.mark.data
def test_two_decoders_agree_on_real_images(shared_data: Path) -> None:
    files = sorted((shared_data / "human-or-object").rglob("*.jpg"))[::60]
    files += sorted((shared_data / "real-or-ai-face").rglob("*.jpg"))[::60]
    assert len(files) > 100
    for path in files:
        data = path.read_bytes()
        for reduction in (1, 2, 4):
            assert_within_one_level(decode_reduced(data, lambda _w, _h, by=reduction: by)[0], other(data, reduction))


@given(
    st.integers(1, 9000),
    st.integers(1, 9000),
    st.integers(8, 600),
    st.sampled_from(["squash", "crop", "pad"]),
    st.floats(0.1, 1),
    st.sampled_from([1.0, 1.5, 2.0, 3.0]),
)
def test_the_largest_reduction_that_leaves_the_gap(
    width: int, height: int, size: int, fit: Any, fraction: float, gap: float
) -> None:
    preprocessing = Preprocessing(size=size, fit=fit, crop_fraction=fraction, jpeg_gap=gap)
    edge = {"squash": min(width, height), "crop": min(width, height) * fraction, "pad": max(width, height)}[fit]
    by = preprocessing.reduction(width, height)
    assert by in (1, 2, 4, 8)
    assert by == 1 or edge / by >= gap * size
    assert by == 8 or edge / (2 * by) < gap * size
    assert by == preprocessing.reduction(height, width)


@pytest.mark.parametrize("fit", ["squash", "crop", "pad"])
@pytest.mark.parametrize("size", [(400, 300), (403, 509)])
def test_a_reduced_image_is_close_to_the_full_one(fit: Any, size: tuple[int, int]) -> None:
    data = saved(photo(*size), quality=95)
    whole, reduced = (Preprocessing(size=32, fit=fit, jpeg_gap=gap).read(data).astype(int) for gap in (0, 2))
    assert 0 < np.abs(whole - reduced).mean() < 0.7
    assert np.abs(whole - reduced).max() <= 8


@pytest.mark.parametrize("orientation", range(1, 9))
def test_reduced_images_are_turned_upright(orientation: int) -> None:
    # 403 and 517 are divided by neither 2 nor 4, so that every edge has a last pixel that is only partly the image's.
    pixels = photo(403, 517)
    exif = Image.Exif()
    exif[0x0112] = orientation
    preprocessing = Preprocessing(size=48, fit="crop", crop_fraction=0.97, jpeg_gap=2)
    assert preprocessing.reduction(403, 517) == 4
    plain = preprocessing.read(saved(pixels, quality=90))
    turned = {
        1: plain,
        2: plain[:, ::-1],
        3: plain[::-1, ::-1],
        4: plain[::-1],
        5: plain.transpose(1, 0, 2),
        6: np.rot90(plain, -1),
        7: plain[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(plain),
    }[orientation]
    # Resampling rounds after the first of its two directions.
    assert_within_one_level(preprocessing.read(saved(pixels, quality=90, exif=exif)), turned)


def test_only_jpegs_are_reduced() -> None:
    for kind in ("PNG", "WEBP", "TIFF"):
        data = saved(photo(300, 300), kind)
        np.testing.assert_array_equal(Preprocessing(size=32, jpeg_gap=1).read(data), Preprocessing(size=32).read(data))
    stream = io.BytesIO()
    Image.fromarray(photo(300, 300)).convert("CMYK").save(stream, "JPEG")
    cmyk = stream.getvalue()
    np.testing.assert_array_equal(Preprocessing(size=32, jpeg_gap=1).read(cmyk), Preprocessing(size=32).read(cmyk))


def test_small_jpegs_are_decoded_whole() -> None:
    data = saved(photo(250, 250))
    np.testing.assert_array_equal(Preprocessing(size=224, jpeg_gap=2).read(data), Preprocessing(size=224).read(data))


@pytest.mark.parametrize("gap", [0, 1])
def test_errors_are_the_same_however_it_is_decoded(gap: float) -> None:
    preprocessing, data = Preprocessing(size=32, jpeg_gap=gap), saved(photo(300, 300))
    with pytest.raises(ImageError, match=r"^is truncated$"):
        preprocessing.read(data[: len(data) // 2])
    with pytest.raises(ImageTooLargeError, match="300 x 300 pixels, more than the 89,999 allowed"):
        preprocessing.read(data, max_pixels=89_999)
    frame = data.index(b"\xff\xc0")
    twelve_bits = data[: frame + 4] + b"\x0c" + data[frame + 5 :]
    with pytest.raises(ImageError, match="is not an image in a known format"):
        preprocessing.read(twelve_bits)


def test_a_thin_stripe_is_reduced_and_not_lost() -> None:
    data = saved(np.full((1, 4000, 3), (250, 10, 10), np.uint8), quality=100)
    seen = Preprocessing(size=32, fit="pad", jpeg_gap=2).read(data)
    assert (np.abs(seen.astype(int) - (250, 10, 10)).max(axis=2) < 12).any()


@pytest.mark.parametrize("fields", [{"jpeg_gap": 0.5}, {"jpeg_gap": -1}, {"jpeg_gap": 2, "filter": "nearest"}])
def test_wrong_values_of_jpeg_gap(fields: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"Expected .* but got"):
        Preprocessing(**fields)
