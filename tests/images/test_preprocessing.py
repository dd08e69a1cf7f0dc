"""The network input against plain Pillow and against arithmetic."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from facevalue.errors import UsageError
from facevalue.images.preprocessing import Preprocessing

IMAGE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8))
FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


@pytest.mark.parametrize("name", FILTERS)
def test_squash(name: str) -> None:
    expected = np.asarray(IMAGE.resize((32, 32), FILTERS[name]))
    np.testing.assert_array_equal(Preprocessing(size=32, filter=name).apply(IMAGE), expected)


def test_crop_takes_the_central_square() -> None:
    expected = IMAGE.crop((15, 0, 75, 60)).resize((32, 32), Image.Resampling.BICUBIC)
    seen = Preprocessing(size=32, fit="crop").apply(IMAGE)
    # Pillow's filters see a little beyond the box they are given, so only the inside is the same.
    np.testing.assert_array_equal(seen[2:-2, 2:-2], np.asarray(expected)[2:-2, 2:-2])


def test_crop_fraction_keeps_less() -> None:
    expected = IMAGE.crop((30, 15, 60, 45)).resize((32, 32), Image.Resampling.BICUBIC)
    seen = Preprocessing(size=32, fit="crop", crop_fraction=0.5).apply(IMAGE)
    np.testing.assert_array_equal(seen[4:-4, 4:-4], np.asarray(expected)[4:-4, 4:-4])


def test_pad_keeps_all_of_the_image_on_mid_grey() -> None:
    seen = Preprocessing(size=30, fit="pad").apply(IMAGE)
    assert (seen[:5] == 128).all()
    assert (seen[25:] == 128).all()
    np.testing.assert_array_equal(seen[5:25], np.asarray(IMAGE.resize((30, 20), Image.Resampling.BICUBIC)))


@pytest.mark.parametrize("fit", ["squash", "crop", "pad"])
@pytest.mark.parametrize("name", FILTERS)
def test_a_square_of_the_right_size_stays_as_it_is(fit: str, name: str) -> None:
    pixels = IMAGE.crop((0, 0, 60, 60))
    preprocessing = Preprocessing(size=60, fit=fit, filter=name)
    np.testing.assert_array_equal(preprocessing.apply(pixels), np.asarray(pixels))
    np.testing.assert_array_equal(preprocessing.apply(Image.fromarray(preprocessing.apply(pixels))), np.asarray(pixels))


@given(
    st.integers(1, 300),
    st.integers(1, 300),
    st.integers(8, 64),
    st.sampled_from(["squash", "crop", "pad"]),
    st.floats(0.05, 1),
)
def test_any_image_becomes_the_network_input(width: int, height: int, size: int, fit: str, fraction: float) -> None:
    pixels = Preprocessing(size=size, fit=fit, crop_fraction=fraction).apply(Image.new("RGB", (width, height), "red"))
    assert pixels.shape == (size, size, 3)
    assert pixels.dtype == np.uint8
    if fit != "pad":
        np.testing.assert_array_equal(pixels, np.broadcast_to([255, 0, 0], pixels.shape))


def test_a_stripe_of_one_pixel_is_padded_and_not_lost() -> None:
    seen = Preprocessing(size=16, fit="pad").apply(Image.new("RGB", (1000, 1), "red"))
    assert (seen == [255, 0, 0]).all(axis=2).any()


def test_reading_bytes_is_decoding_and_geometry() -> None:
    stream = io.BytesIO()
    IMAGE.save(stream, "PNG")
    preprocessing = Preprocessing(size=24, filter="bilinear")
    np.testing.assert_array_equal(preprocessing.read(stream.getvalue()), preprocessing.apply(IMAGE))


@pytest.mark.parametrize("fields", [{"size": 7}, {"size": 5000}, {"crop_fraction": 0.0}, {"crop_fraction": 1.5}])
def test_wrong_settings_of_preprocessing(fields: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=r"Expected .* but got"):
        Preprocessing(**fields)
