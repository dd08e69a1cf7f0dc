"""Leaks between official splits are found, reported with an example, and removed on request."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from facevalue.data.groups import with_groups
from facevalue.data.leaks import find_leaks, without_leaks
from facevalue.data.manifest import Manifest
from facevalue.data.scan import scan
from facevalue.data.splits import with_splits
from facevalue.errors import DataError, UsageError

Fill = Callable[..., Path]


@pytest.fixture
def official(tmp_path: Path, fill: Fill) -> Path:
    """Official splits with one person, one copy and one smaller JPEG of an image on both sides."""
    fill(tmp_path, "train/human/Ann", "train/human/Bob", "train/human/Eva", "train/human/Ida", n=4)
    fill(tmp_path, "train/object", "train/thing", n=12, first=20_000)
    fill(tmp_path, "test/human/Ann", "test/human/Cem", n=3, first=40_000)
    fill(tmp_path, "test/object", "test/thing", n=6, first=60_000)
    copied = (tmp_path / "train/object/p03.png").read_bytes()
    (tmp_path / "test/object/copy.png").write_bytes(copied)
    with Image.open(tmp_path / "train/thing/p05.png") as image:
        image.resize((50, 50)).save(tmp_path / "test/thing/small.jpg", quality=60)
    return tmp_path


def test_people_copies_and_near_duplicates_are_found(official: Path) -> None:
    manifest = with_groups(scan(official))
    leaks = find_leaks(manifest.readable)
    assert [(leak.images, leak.identical) for leak in leaks] == [(7, 0), (2, 2), (2, 0)]
    assert leaks[0].group == "Ann"
    assert leaks[0].splits == ("train", "test")
    assert leaks[0].examples == ("train/human/Ann/p00.png", "test/human/Ann/p00.png")
    assert leaks[1].to_dict()["examples"] == ["train/object/p03.png", "test/object/copy.png"]


def test_the_same_bytes_leak_also_where_no_grouping_joined_them(official: Path) -> None:
    leaks = find_leaks(with_groups(scan(official), "image", near=None).readable)
    assert [(leak.images, leak.identical) for leak in leaks] == [(2, 2)]


def test_by_default_leaks_are_reported_and_splits_stay(official: Path) -> None:
    manifest = with_groups(scan(official))
    kept, leaks = without_leaks(manifest)
    assert kept is manifest
    assert len(leaks) == 3
    done = with_splits(manifest)
    [warning] = done.warnings
    assert warning.text == (
        "the given splits leak: 11 images in 3 groups are in several splits, 2 of them byte for byte,"
        " e.g. train/human/Ann/p00.png (train) and test/human/Ann/p00.png (test)"
    )
    assert warning.values == {"n": 11, "groups": 3, "identical": 2}
    assert (done.table["split"] != "").all()


def test_dropping_leaks_leaves_test_unchanged(official: Path) -> None:
    manifest = with_groups(scan(official))
    clean, leaks = without_leaks(manifest, "drop")
    assert len(leaks) == 3
    dropped = set(manifest.table["key"][clean.table["split"] == ""])
    assert dropped == {f"train/human/Ann/p{i:02}.png" for i in range(4)} | {
        "train/object/p03.png",
        "train/thing/p05.png",
    }
    done = with_splits(clean)
    [warning] = done.warnings
    assert warning.code == "leaks-dropped"
    assert (
        warning.text
        == "6 images were left out of the given splits, because a later split holds the same image or group"
    )
    assert find_leaks(done.readable) == ()
    assert set(done.table["key"][done.table["split"] == ""]) == dropped


def test_equal_bytes_are_dropped_without_near_duplicates_too(official: Path) -> None:
    manifest = with_groups(scan(official), "image", near=None)
    clean, _ = without_leaks(manifest, "drop")
    assert set(manifest.table["key"][clean.table["split"] == ""]) == {"train/object/p03.png"}


def test_as_an_error(official: Path) -> None:
    manifest = with_groups(scan(official))
    with pytest.raises(DataError, match=r"11 images in 3 groups are in several splits.*set `leaks` to drop"):
        without_leaks(manifest, "error")
    with pytest.raises(UsageError, match="Expected `leaks` to be one of warn, drop, error, but got 'maybe'"):
        without_leaks(manifest, "maybe")


def test_no_splits_no_leaks(tmp_path: Path, fill: Fill) -> None:
    manifest = with_groups(scan(fill(tmp_path, "a", "b", n=3)))
    assert without_leaks(manifest, "error") == (manifest, ())
    assert find_leaks(Manifest(pd.DataFrame(manifest.table.iloc[:0]), "empty").table) == ()
