"""Simple measures of drawn images, whose values are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facevalue.data.scan import scan
from facevalue.data.simple_measures import SMALL, measure, measures_of


def test_sharpness_and_colour_of_known_images() -> None:
    flat = measures_of(Image.new("RGB", (40, 30), (10, 200, 60)))
    assert flat[0] == 0
    np.testing.assert_allclose(flat[1:4], (10, 200, 60), atol=1)
    assert len(flat) == 4 + 3 * SMALL**2
    board = (np.indices((32, 32)).sum(0) % 2 * 255).astype(np.uint8)
    # Every pixel differs by 255 from its four neighbours.
    assert measures_of(Image.fromarray(np.stack([board] * 3, 2)))[0] == pytest.approx(4 * 255)
    assert measures_of(Image.new("RGB", (2, 2)))[0] == 0


def test_a_file_that_can_no_longer_be_read_is_left_out(tmp_path: Path) -> None:
    for label, size in (("a", (64, 48)), ("b", (32, 80))):
        (tmp_path / label).mkdir()
        for i in range(3):
            Image.new("RGB", size, (i * 80, 0, 0)).save(tmp_path / label / f"{i}.jpg", quality=80)
    manifest = scan(tmp_path)
    (tmp_path / "a" / "1.jpg").write_bytes(b"")
    found = measure(manifest, manifest.readable)
    assert found.read.tolist() == [True, False, True, True, True, True]
    assert found.baselines["longer side"].tolist() == [64, 64, 80, 80, 80]
    assert set(found.baselines["JPEG quality (0: not JPEG)"]) == {80}
    assert found.baselines["mean colour"].shape == (5, 3)
    assert len(found.features) == 5
    assert np.isfinite(found.features).all()
