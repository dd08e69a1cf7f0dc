"""The versions of a network input."""

import numpy as np
import pytest
from PIL import Image

from facevalue.images.versions import MOST, RESCALINGS, version_of, versions_of

PIXELS = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)


def test_the_first_is_the_input_itself_and_all_others_differ() -> None:
    found = [version_of(PIXELS, number) for number in range(MOST)]
    assert found[0] is PIXELS
    assert {(one.shape, one.dtype.name) for one in found} == {((32, 32, 3), "uint8")}
    assert len({one.tobytes() for one in found}) == MOST == len(RESCALINGS) + 1


@pytest.mark.parametrize("number", range(MOST))
def test_a_flat_input_stays_as_it_is(number: int) -> None:
    flat = np.full((224, 224, 3), (3, 128, 250), np.uint8)
    np.testing.assert_array_equal(version_of(flat, number), flat)


def test_versions_are_made_one_by_one() -> None:
    both = np.stack([PIXELS, PIXELS[::-1]])
    np.testing.assert_array_equal(versions_of(both, 2), [version_of(one, 2) for one in both])
    assert versions_of(both, 0) is both


def test_the_second_is_shrunk_by_area_and_enlarged() -> None:
    small = Image.fromarray(PIXELS).resize((16, 16), Image.Resampling.BOX)
    expected = np.asarray(small.resize((32, 32), Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(version_of(PIXELS, 1), expected)
