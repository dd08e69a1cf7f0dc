"""How folders and manifests are read."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from facevalue.data.audit import audit
from facevalue.data.groups import with_groups
from facevalue.data.layout import list_files
from facevalue.data.manifest import Manifest
from facevalue.data.scan import scan
from facevalue.data.splits import with_splits
from facevalue.errors import DataError, UsageError

Fill = Callable[..., Path]


def test_a_folder_a_class_with_folders_below(tmp_path: Path, fill: Fill) -> None:
    fill(tmp_path, "human/Ann", "human/Bob/trip", "object", n=2)
    listed = list_files(tmp_path).files
    assert [(f.key, f.label, f.parent) for f in listed] == [
        ("human/Ann/p00.png", "human", "Ann"),
        ("human/Ann/p01.png", "human", "Ann"),
        ("human/Bob/trip/p00.png", "human", "Bob/trip"),
        ("human/Bob/trip/p01.png", "human", "Bob/trip"),
        ("object/p00.png", "object", ""),
        ("object/p01.png", "object", ""),
    ]


def test_hidden_and_foreign_files_are_skipped(tmp_path: Path, fill: Fill) -> None:
    fill(tmp_path, "a", "b", n=1)
    for name in ("a/.hidden.png", ".git/x.png", "a/.cache/x.png", "loose.png", "a/Thumbs.db"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((tmp_path / "a/p00.png").read_bytes())
    assert [f.key for f in list_files(tmp_path).files] == ["a/p00.png", "b/p00.png"]


def test_a_folder_without_images_and_images_outside_classes_are_reported(tmp_path: Path, fill: Fill) -> None:
    fill(tmp_path, "a", "b", n=6)
    assert scan(tmp_path).warnings == ()
    (tmp_path / "empty").mkdir()
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts/notes.txt").write_text("no image")
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "readme.txt").write_text("no image")
    (tmp_path / "loose.png").write_bytes((tmp_path / "a/p00.png").read_bytes())
    empty, beside = scan(tmp_path).warnings
    assert (empty.code, empty.values) == ("folder-without-image", {"n": 3, "folders": ("empty", "gone", "texts")})
    assert empty.text.endswith("not classes: 'empty', 'gone', 'texts'")
    assert (beside.code, beside.values) == ("images-outside-classes", {"n": 1, "files": ("loose.png",)})
    assert beside.text.endswith("left out: 'loose.png'")
    split = with_splits(with_groups(scan(tmp_path)))
    assert split.warnings[:2] == (empty, beside)
    assert audit(split).warnings[:2] == (empty, beside)


def test_a_class_folder_without_images_in_a_split_is_reported(tmp_path: Path, fill: Fill) -> None:
    fill(tmp_path, "train/a", "train/b", "test/a", "test/b", n=6)
    assert scan(tmp_path).warnings == ()
    for folder in ("train/c", "test/c", "logs"):
        (tmp_path / folder).mkdir()
    (warning,) = scan(tmp_path).warnings
    assert warning.code == "folder-without-image"
    assert warning.text.endswith("not classes: 'test/c', 'train/c'")


def test_an_unreadable_class_is_reported(tmp_path: Path, fill: Fill) -> None:
    fill(tmp_path, "a", "b", n=2)
    (tmp_path / "c").mkdir()
    (tmp_path / "c/x.png").write_text("no image")
    [warning] = audit(with_groups(scan(tmp_path))).warnings
    assert (warning.code, warning.severity, warning.text) == (
        "class-unreadable",
        "error",
        "no image of class 'c' can be read",
    )


def test_a_path_that_no_file_can_have(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_bytes(b"path,label\nx\0y.png,a\n")
    with pytest.raises(DataError, match="impossible path"):
        list_files(tmp_path / "m.csv")


def test_loose_images_leave_nothing_aside(tmp_path: Path, fill: Fill) -> None:
    fill(tmp_path, "", n=2)
    (tmp_path / "empty").mkdir()
    assert scan(tmp_path, loose=True).warnings == ()


@pytest.mark.parametrize(
    ("folders", "splits"),
    [
        (("train", "validation", "test"), {"train", "validation", "test"}),
        (("training", "val", "test"), {"train", "validation", "test"}),
        (("Train", "Valid"), {"train", "validation"}),
        (("train", "test"), {"train", "test"}),
        (("validation", "test"), {"validation", "test"}),
        (("Val",), {"validation"}),
    ],
)
def test_official_splits(tmp_path: Path, fill: Fill, folders: tuple[str, ...], splits: set[str]) -> None:
    fill(tmp_path, *(f"{split}/{label}" for split in folders for label in ("cat", "dog")), n=1)
    listed = list_files(tmp_path).files
    assert {f.split for f in listed} == splits
    assert {f.label for f in listed} == {"cat", "dog"}


def test_classes_named_like_splits(tmp_path: Path, fill: Fill) -> None:
    fill(tmp_path, "test", "exam", n=1)
    assert {f.label for f in list_files(tmp_path).files} == {"test", "exam"}


def test_splits_beside_other_folders_are_an_error(tmp_path: Path, fill: Fill) -> None:
    fill(tmp_path, "train/a", "test/a", "more", n=1)
    with pytest.raises(DataError, match=r"mixes splits .* \(more\)"):
        list_files(tmp_path)


def test_one_held_out_folder_becomes_the_test_split(tmp_path: Path, fill: Fill) -> None:
    fill(tmp_path, "train/a", "train/b", n=40)
    fill(tmp_path, "val/a", "val/b", n=5, first=50_000)
    manifest = with_splits(with_groups(scan(tmp_path)))
    counts = manifest.counts()
    assert counts["test"] == {"a": 5, "b": 5}
    assert list(counts) == ["train", "validation", "calibration", "test"]
    assert sum(sum(counts[s].values()) for s in ("train", "validation", "calibration")) == 80
    carved = manifest.rows("validation", "calibration")
    assert carved["key"].str.startswith("train/").all()


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
def test_manifests(tmp_path: Path, fill: Fill, suffix: str) -> None:
    fill(tmp_path / "images", "x", "y", n=2)
    table = pd.DataFrame(
        {
            "path": ["images/x/p00.png", "images/x/p01.png", "images/y/p00.png", "images/y/p01.png"],
            "label": ["cat", "cat", "dog", "dog"],
            "split": ["train", "test", "train", "val"],
            "person": ["ann", "bob", "cid", None],
        }
    )
    source = tmp_path / f"manifest{suffix}"
    if suffix == ".parquet":
        table.to_parquet(source)
    else:
        table.to_csv(source, index=False, sep="\t" if suffix == ".tsv" else ",")
    manifest = with_groups(scan(source), "person")
    assert manifest.table["label"].tolist() == ["cat", "cat", "dog", "dog"]
    assert manifest.table["split"].tolist() == ["train", "test", "train", "validation"]
    assert manifest.table["group"].tolist() == ["ann", "bob", "cid", "file:images/y/p01.png"]
    assert manifest.unreadable == ()


def test_a_manifest_of_a_folder_a_class_does_not_make_a_class_one_group(tmp_path: Path, fill: Fill) -> None:
    fill(tmp_path, "cat", "dog/Ann", n=6)
    rows = [{"path": f.key, "label": f.label} for f in list_files(tmp_path).files]
    pd.DataFrame(rows).to_csv(tmp_path / "manifest.csv", index=False)
    from_manifest = with_groups(scan(tmp_path / "manifest.csv"))
    from_folder = with_groups(scan(tmp_path))
    assert from_manifest.groups == from_folder.groups == "parent"
    assert from_manifest.table["group"].tolist() == from_folder.table["group"].tolist()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,label\n", "empty manifest"),
        ("path\na.png\n", "lacks the column 'label'"),
        ("path,label,split\na.png,x,holdout\n", "expected split to be one of .* 'holdout'"),
        ("path,label\na.png,x\na.png,x\n", "lists a path twice"),
        ("path,label\na.png,\n", "has no label for a.png"),
        ("path,label,split\na.png,x,train\nb.png,x,\n", "has a split for some images only; give one for b.png too"),
        ("", "cannot be read as a manifest"),
    ],
)
def test_manifests_that_are_wrong(tmp_path: Path, text: str, message: str) -> None:
    source = tmp_path / "manifest.csv"
    source.write_text(text)
    with pytest.raises((DataError, UsageError), match=message) as caught:
        list_files(source)
    assert "\n" not in str(caught.value)


def test_sources_that_are_wrong(tmp_path: Path, fill: Fill) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        list_files(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no sub-folder holds any"):
        list_files(tmp_path / "empty")
    fill(tmp_path, "loose", n=2)
    with pytest.raises(DataError, match="put each class into a sub-folder"):
        list_files(tmp_path / "loose")
    (tmp_path / "table.xlsx").touch()
    with pytest.raises(UsageError, match="neither a folder nor a manifest"):
        list_files(tmp_path / "table.xlsx")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match="cannot be read as a manifest"):
        list_files(tmp_path / "broken.parquet")


def test_unreadable_files_are_named_and_left_out(tmp_path: Path, fill: Fill) -> None:
    fill(tmp_path, "a", "b", n=3)
    whole = (tmp_path / "a/p00.png").read_bytes()
    (tmp_path / "a/cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "b/empty.jpg").touch()
    (tmp_path / "b/text.png").write_text("not an image")
    manifest = scan(tmp_path)
    reasons = {Path(bad["path"]).name: bad["reason"] for bad in manifest.unreadable}
    assert reasons == {
        "cut.png": "is truncated",
        "empty.jpg": "the file is empty",
        "text.png": "is not an image in a known format",
    }
    assert manifest.counts() == {"all": {"a": 3, "b": 3}}


def test_nothing_readable(tmp_path: Path) -> None:
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
        (tmp_path / label / "x.png").touch()
    with pytest.raises(DataError, match="none of the 2 files"):
        scan(tmp_path)


def test_facts_of_an_image(tmp_path: Path, fill: Fill) -> None:
    fill(tmp_path, "a", n=1)
    row = scan(tmp_path).table.iloc[0]
    assert (row["width"], row["height"], row["format"], row["mode"]) == (96, 96, "PNG", "RGB")
    assert row["bytes"] == (tmp_path / "a/p00.png").stat().st_size
    assert len(row["sha256"]) == len(row["phash"]) == 64


def test_the_manifest_on_disk(tmp_path: Path, fill: Fill) -> None:
    manifest = scan(fill(tmp_path / "images", "a", "b", n=2))
    manifest.save(tmp_path / "m.parquet")
    pd.testing.assert_frame_equal(
        pd.read_parquet(tmp_path / "m.parquet"), manifest.table.reset_index(drop=True), check_dtype=False
    )


def test_the_fingerprint_is_of_bytes_labels_and_splits(tmp_path: Path, fill: Fill) -> None:
    one = scan(fill(tmp_path / "one", "a", "b", n=2))
    two = scan(fill(tmp_path / "two", "a", "b", n=2))
    (tmp_path / "two/a/p00.png").rename(tmp_path / "two/a/another-name.png")
    assert scan(tmp_path / "two").fingerprint() == one.fingerprint() == two.fingerprint()
    swapped = Manifest(one.table.assign(label=["b", "a", "b", "b"]), one.source)
    assert swapped.fingerprint() != one.fingerprint()


def test_links_are_followed_and_loops_are_cut(tmp_path: Path, fill: Fill) -> None:
    fill(tmp_path / "data", "a/ann", "b", n=2)
    fill(tmp_path / "far", "bob", n=1)
    (tmp_path / "data/a/ann/up").symlink_to("../..")
    (tmp_path / "data/a/self").symlink_to(".")
    (tmp_path / "data/a/bob").symlink_to(tmp_path / "far" / "bob")
    assert [f.key for f in list_files(tmp_path / "data").files] == [
        "a/ann/p00.png",
        "a/ann/p01.png",
        "a/bob/p00.png",
        "b/p00.png",
        "b/p01.png",
    ]


def test_a_model_folder_among_the_images_is_no_class(tmp_path: Path, fill: Fill) -> None:
    fill(tmp_path, "train/a", "train/b", "test/a", "test/b", "model/images", n=1)
    (tmp_path / "model.training").mkdir()
    (tmp_path / "model" / "card.json").touch()
    assert {f.label for f in list_files(tmp_path).files} == {"a", "b"}
    (tmp_path / "model" / "card.json").unlink()
    with pytest.raises(DataError, match=r"mixes splits .* with other folders \(model\)"):
        list_files(tmp_path)


def test_the_same_image_in_two_classes_is_a_warning(tmp_path: Path, fill: Fill) -> None:
    fill(tmp_path, "a", "b", n=8)
    (tmp_path / "b" / "again.png").write_bytes((tmp_path / "a" / "p00.png").read_bytes())
    [warning] = with_splits(with_groups(scan(tmp_path))).warnings
    assert warning.code == "contradictory-labels"
    assert warning.text == f"2 files are copies of an image in another class, e.g. {tmp_path}/a/p00.png"
