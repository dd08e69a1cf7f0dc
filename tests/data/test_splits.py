"""No group crosses a split; the same seed splits the same way, on any machine and with more images."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from facevalue.data import layout
from facevalue.data.groups import with_groups
from facevalue.data.manifest import COLUMNS, SPLITS, Manifest
from facevalue.data.scan import scan
from facevalue.data.splits import with_splits
from facevalue.errors import DataError, UsageError

Fill = Callable[..., Path]


def table(groups: dict[str, list[str]]) -> Manifest:
    """A manifest from memory: for each label its images' groups, none of which looks like another."""
    rng = np.random.default_rng(0)
    rows = []
    for label, names in groups.items():
        for i, group in enumerate(names):
            row = dict.fromkeys(COLUMNS, "") | {"label": label, "group": group, "key": f"{label}/{i:05}.png"}
            rows.append(row | {"path": row["key"], "sha256": f"{label}{i}", "phash": rng.bytes(32).hex()})
    return Manifest(pd.DataFrame(rows), "memory")


def singles(n: int) -> dict[str, list[str]]:
    return {label: [f"{label}{i}" for i in range(n)] for label in ("a", "b", "c")}


@given(st.lists(st.lists(st.integers(0, 30), min_size=30, max_size=80), min_size=2, max_size=4), st.integers(0, 5))
def test_no_group_crosses_and_every_class_is_everywhere(groups: list[list[int]], seed: int) -> None:
    # At least four groups of each class's own, so that it can be in every split.
    drawn = {f"class{i}": [*(f"{i}-{g}" for g in row), *(f"{i}+{j}" for j in range(4))] for i, row in enumerate(groups)}
    split = with_splits(table(drawn), seed=seed)
    assert split.table.groupby("group")["split"].nunique().max() == 1
    counts = split.counts()
    assert list(counts) == list(SPLITS)
    assert all(counts[s].get(label, 0) > 0 for s in SPLITS for label in drawn)


def test_groups_that_hold_several_classes_stay_together() -> None:
    shared = {label: [f"house{i // 2}" for i in range(80)] for label in ("a", "b")}
    split = with_splits(table(shared))
    assert split.table.groupby("group")["split"].nunique().max() == 1


def test_shares_are_met() -> None:
    counts = with_splits(table(singles(2000))).counts()
    shares = {s: sum(counts[s].values()) / 6000 for s in SPLITS}
    # Three standard deviations of a share of 0.2 in 6000 independent draws are 0.016.
    assert shares == pytest.approx({"train": 0.6, "validation": 0.1, "calibration": 0.1, "test": 0.2}, abs=0.016)


def test_same_seed_same_split() -> None:
    manifest = table(singles(100))
    first, second, other = (with_splits(manifest, seed=seed).table["split"].tolist() for seed in (1, 1, 2))
    assert first == second
    assert first != other


def test_more_images_move_no_old_ones() -> None:
    few = with_splits(table(singles(200))).table.set_index("group")["split"]
    many = with_splits(table(singles(500))).table.set_index("group")["split"]
    assert (many[few.index] == few).all()


def test_the_order_of_files_on_disk_does_not_matter(
    tmp_path: Path, fill: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, "a/x", "a/y", "b", n=8)
    first = with_splits(with_groups(scan(tmp_path), "image"))
    walk = os.walk

    def backwards(*args: object, **kwargs: object) -> object:
        for where, names, files in walk(*args, **kwargs):  # type: ignore[call-overload]
            yield where, names, sorted(files, reverse=True)

    monkeypatch.setattr(layout.os, "walk", backwards)
    second = with_splits(with_groups(scan(tmp_path), "image"))
    pd.testing.assert_frame_equal(first.table, second.table)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"a": [f"a{i}" for i in range(9)]}, "only one class"),
        ({"a": [f"a{i}" for i in range(9)], "b": ["b0"]}, "class 'b' has 1 readable image in 1 independent group;"),
        (
            {"a": [f"a{i}" for i in range(9)], "b": ["b0"] * 9},
            "class 'b' has 9 readable images in 1 independent group;",
        ),
    ],
)
def test_too_little_to_split(groups: dict[str, list[str]], message: str) -> None:
    with pytest.raises(DataError, match=message):
        with_splits(table(groups))


def test_a_class_that_cannot_be_read() -> None:
    manifest = table(singles(10))
    error = np.where(manifest.table["label"] == "b", "is truncated", "")
    with pytest.raises(DataError, match="no image of class 'b'"):
        with_splits(manifest.changed(error=error))


def test_leaks_between_official_splits_are_a_warning() -> None:
    manifest = table({label: [f"{label}{i // 2}" for i in range(80)] for label in ("a", "b")})
    given_splits = ["train", "test"] * 80
    split = with_splits(manifest.changed(split=given_splits))
    assert len(split.warnings) == 1
    assert split.warnings[0].code == "leak-across-splits"
    assert "160 images in 80 groups are in several splits" in split.warnings[0].text


def test_given_splits_stay(tmp_path: Path) -> None:
    manifest = table(singles(40))
    names = [SPLITS[i % 4] for i in range(120)]
    assert with_splits(manifest.changed(split=names)).table["split"].tolist() == names


@pytest.mark.parametrize("held_out", ["validation", "calibration", "test"])
def test_one_held_out_folder_beside_train_is_test(held_out: str) -> None:
    manifest = table(singles(60))
    given = ["train" if i % 3 else held_out for i in range(180)]
    split = with_splits(manifest.changed(split=given)).table["split"].to_numpy()
    assert (split[::3] == "test").all()
    rest = np.delete(split, slice(None, None, 3))
    assert set(rest) == {"train", "validation", "calibration"}


def test_groups_by_folder_and_by_default(tmp_path: Path, fill: Fill) -> None:
    fill(tmp_path, "human/Ann", "human/Bob", "object", n=3)
    manifest = with_groups(scan(tmp_path))
    assert manifest.groups == "parent"
    assert manifest.table["group"].tolist() == ["Ann"] * 3 + ["Bob"] * 3 + [f"file:object/p0{i}.png" for i in range(3)]
    assert with_groups(scan(tmp_path), "image").table["group"].nunique() == 9


def test_groups_by_stem(tmp_path: Path, image: Callable[[Path, int], Path]) -> None:
    for i, name in enumerate(["horse01-0", "horse01-1", "horse02-0", "other"]):
        image(tmp_path / "horse" / f"{name}.png", i)
    manifest = with_groups(scan(tmp_path), r"stem:^([a-z]+\d+)")
    assert manifest.table["group"].tolist() == ["horse01", "horse01", "horse02", "file:horse/other.png"]


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("stem:(", "not a regular expression"),
        ("stem:zzz", "matches no file name"),
        ("person", "expected parent, image, stem:REGEX or a column"),
        ("parent", "lies in a folder below its class"),
    ],
)
def test_wrong_groups(tmp_path: Path, fill: Fill, how: str, message: str) -> None:
    fill(tmp_path, "a", "b", n=1)
    with pytest.raises((DataError, UsageError), match=message):
        with_groups(scan(tmp_path), how)


def test_near_duplicates_join_across_folders_and_classes(tmp_path: Path, fill: Fill) -> None:
    fill(tmp_path, "a", "b", n=12)
    with Image.open(tmp_path / "a/p00.png") as image:
        image.resize((61, 61)).save(tmp_path / "a/small.jpg", quality=50)
        image.convert("L").save(tmp_path / "b/grey.png")
    with Image.open(tmp_path / "b/p03.png") as image:
        image.save(tmp_path / "b/same.bmp")
    groups = with_groups(scan(tmp_path)).table.set_index("key")["group"]
    assert groups["a/p00.png"] == groups["a/small.jpg"] == groups["b/grey.png"]
    assert groups["b/p03.png"] == groups["b/same.bmp"]
    assert groups.nunique() == 24
    assert with_groups(scan(tmp_path), near=None).table["group"].nunique() == 27
