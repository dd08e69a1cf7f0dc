"""Drawn strangers, and folders of them: sets, what is left out, and the part for testing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facevalue.data.drawn_images import KINDS, drawn
from facevalue.data.scan import scan
from facevalue.data.strangers import MOST, drawn_strangers, read_strangers, together
from facevalue.errors import DataError, UsageError
from facevalue.images.preprocessing import Preprocessing

SIZE = Preprocessing(size=24)
Fill = Callable[..., Path]


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_draws_the_same_images_again_and_no_two_alike(kind: str) -> None:
    first, again, others = (drawn(kind, 6), drawn(kind, 6), drawn(kind, 3, first=3))
    assert all(image.mode == "RGB" for image in first)
    assert [image.tobytes() for image in first] == [image.tobytes() for image in again]
    assert [image.tobytes() for image in first[3:]] == [image.tobytes() for image in others]
    assert len({(image.size, image.tobytes()) for image in first}) > 3


def test_the_drawn_images_to_fit_with_are_not_those_to_test_on() -> None:
    fit, test = drawn_strangers("fit", SIZE), drawn_strangers("test", SIZE)
    assert set(fit.classes) == {f"drawn {kind}" for kind in KINDS} == set(test.classes)
    assert np.bincount(fit.labels).min() == 20
    textured = np.isin(fit.labels, [i for i, kind in enumerate(KINDS) if kind not in ("flat", "pixel")])
    seen = {pixels.tobytes() for pixels in fit.pixels()[textured]}
    assert not any(pixels.tobytes() in seen for pixels in test.pixels())


def test_a_folder_is_a_set_at_any_depth(fill: Fill, tmp_path: Path) -> None:
    fill(tmp_path, "cats/indoors", "cats/outdoors", "dogs", n=12)
    found = read_strangers([tmp_path / "cats", str(tmp_path / "dogs")], SIZE)
    assert found.images is not None
    assert found.images.classes == ("cats", "dogs")
    assert np.bincount(found.images.labels).tolist() == [24, 12]
    assert not found.warnings
    fit, test = found.split("fit"), found.split("test")
    assert fit is not None
    assert test is not None
    assert len(fit) + len(test) == 36
    assert len(fit) > len(test) > 0
    assert not set(fit.rows["group"]) & set(test.rows["group"])


def test_folders_of_one_name_are_told_apart(fill: Fill, tmp_path: Path) -> None:
    fill(tmp_path, "a/cats", "b/cats", n=3)
    found = read_strangers([tmp_path / "a" / "cats", tmp_path / "b" / "cats"], SIZE)
    assert found.images is not None
    assert found.images.classes == ("a/cats", "b/cats")


def test_images_of_the_model_and_unreadable_ones_are_left_out_and_counted(fill: Fill, tmp_path: Path) -> None:
    known = scan(fill(tmp_path / "own", "horse", "human", n=6))
    fill(tmp_path, "cats", n=5, first=500)
    (tmp_path / "cats" / "own.png").write_bytes((tmp_path / "own" / "horse" / "p00.png").read_bytes())
    (tmp_path / "cats" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no image")
    found = read_strangers([tmp_path / "cats"], SIZE, known)
    assert found.images is not None
    assert len(found.images) == 5
    assert [w.code for w in found.warnings] == ["strangers-unreadable", "strangers-known"]
    assert [w.values["n"] for w in found.warnings] == [1, 1]


def test_a_large_folder_is_thinned_out_and_that_is_said(fill: Fill, tmp_path: Path, notes: list[str]) -> None:
    fill(tmp_path, "cats", n=8)
    data = (tmp_path / "cats" / "p00.png").read_bytes()
    for i in range(MOST):
        (tmp_path / "cats" / f"copy{i}.png").write_bytes(data)
    found = read_strangers([tmp_path / "cats"], SIZE)
    assert found.images is not None
    assert len(found.images) == MOST
    assert any("[strangers-thinned]" in note for note in notes)


def test_together_counts_every_set_once(fill: Fill, tmp_path: Path) -> None:
    fill(tmp_path, "cats", "dogs", n=2)
    one, two = (read_strangers([tmp_path / name], SIZE).images for name in ("cats", "dogs"))
    assert one is not None
    assert two is not None
    joined = together([one, two, one], "all")
    assert joined.classes == ("cats", "dogs")
    assert joined.labels.tolist() == [0, 0, 1, 1, 0, 0]


def test_folders_that_cannot_be_used(fill: Fill, tmp_path: Path) -> None:
    own = fill(tmp_path / "own", "horse", "human", n=3)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"`strangers` .*nowhere: there is no such folder"):
        read_strangers([tmp_path / "nowhere"], SIZE)
    with pytest.raises(UsageError, match="given twice"):
        read_strangers([own / "horse", own / "human" / ".." / "horse"], SIZE)
    with pytest.raises(DataError, match="holds no image"):
        read_strangers([tmp_path / "empty"], SIZE)
    with pytest.raises(DataError, match="no image that can be a stranger"):
        read_strangers([own / "horse"], SIZE, scan(own))


def test_flat_images_of_other_colours_are_other_images(tmp_path: Path) -> None:
    """Their perceptual hashes are all the same."""
    (tmp_path / "own" / "a").mkdir(parents=True)
    (tmp_path / "flat").mkdir()
    for i in range(12):
        Image.new("RGB", (30, 20), (20 * i, 240 - 20 * i, 128)).save(tmp_path / "flat" / f"{i}.png")
    Image.new("RGB", (60, 40), (20, 221, 128)).save(tmp_path / "own" / "a" / "enlarged.png")
    found = read_strangers([tmp_path / "flat"], SIZE, scan(tmp_path / "own"))
    assert found.images is not None
    assert [Path(name).stem for name in found.images.names] == ["0", "10", "11", *"23456789"]
    assert found.images.rows["group"].nunique() == 11
