"""Damage by name, and network inputs of damaged images."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facevalue.data.dataset import dataset_of
from facevalue.data.scan import scan
from facevalue.errors import UsageError
from facevalue.images.preprocessing import Preprocessing
from facevalue.robustness.corruptions.damage import EVERYDAY, Damage


def test_inputs_are_the_damaged_files_through_the_preprocessing(lfw: Path) -> None:
    preprocessing = Preprocessing(size=24)
    dataset = dataset_of(scan(lfw), preprocessing, ("face", "not-face"))
    places = np.array([3, 150, 7])
    got = list(Damage.of("jpeg-40").inputs(dataset, places, preprocessing))
    for pixels, place in zip(got, places, strict=True):
        buffer = io.BytesIO()
        dataset.upright(int(place)).save(buffer, "JPEG", quality=40)
        assert np.array_equal(pixels, preprocessing.of(buffer.getvalue()))
    half = next(Damage.of("resize-0.5").inputs(dataset, places, preprocessing))
    image = dataset.upright(3)
    small = image.resize((image.width // 2, image.height // 2), Image.Resampling.BICUBIC)
    assert np.abs(half.astype(int) - preprocessing.apply(small)).max() <= 1


def test_strengths_are_read_from_the_name() -> None:
    assert [(d.corruption.name, d.strength) for d in map(Damage.of, EVERYDAY)] == [
        ("jpeg", 60.0),
        ("jpeg", 40.0),
        ("resize", 0.5),
    ]
    assert Damage.of("brightness-down-0.8").corruption.name == "brightness-down"


@pytest.mark.parametrize("name", ["jpeg", "jpeg-", "-60", "jpeg-x", "jpeg-0", "60"])
def test_a_name_without_a_strength_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="CORRUPTION-STRENGTH"):
        Damage.of(name)


def test_an_unknown_corruption_is_refused_with_those_that_exist() -> None:
    with pytest.raises(UsageError, match=r"no corruption 'jpg'.*'jpeg'"):
        Damage.of("jpg-60")
