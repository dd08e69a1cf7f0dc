"""Folders and tables as users have them: names of splits and classes, leftovers, groups; and what is reported."""

import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageDraw

from facevalue.data.audit import audit
from facevalue.data.groups import check_groups, with_groups
from facevalue.data.layout import list_files
from facevalue.data.names_alike import joined, likeness, name_findings
from facevalue.data.scan import scan
from facevalue.data.split_names import is_unlabelled, split_of
from facevalue.data.splits import with_splits
from facevalue.errors import DataError
from facevalue.runtime.image_files import expand
from facevalue.training.recipe import configured
from facevalue.training.split_data import split_manifest

Fill = Callable[..., Path]


SPELLINGS = {
    "train": "train,Train,TRAINING,training_set,train-set,trainset,TrainingData,seg_train,train2017,Training Set,"
    "my_train_data,1_train,trainImages,x_train,trainval,entraînement,训练集",
    "validation": "val,Valid,validation,validation_set,valset,val2017,dev,dev_set,Validating,Validation Data",
    "calibration": "calibration,Calib,calibration_set",
    "test": "test,Testing,TEST_SET,test-set,testset,seg_test,eval,evaluation,test2017,TestImages,test_data,PublicTest,"
    "prueba",
}


@pytest.mark.parametrize(
    ("split", "name"), [(split, name) for split, all_ in SPELLINGS.items() for name in all_.split(",")]
)
def test_names_of_splits(split: str, name: str) -> None:
    assert split_of(name) == split


@pytest.mark.parametrize(
    "name", "trainer tests_and_more contest devil cat valley latest trained_dog unlabeled 0 set".split()
)
def test_names_that_are_no_split_s(name: str) -> None:
    assert split_of(name) is None


def test_names_of_images_without_labels() -> None:
    assert all(map(is_unlabelled, ("seg_pred", "unlabeled", "Unlabelled_images", "submission", "predictions")))
    assert not any(map(is_unlabelled, ("predator", "train", "cats")))


@pytest.mark.parametrize(
    ("train", "test"),
    [("Training", "Testing"), ("training_set", "test_set"), ("seg_train", "seg_test"), ("Train", "dev")],
)
def test_folders_named_like_splits_are_splits_and_reported(
    tmp_path: Path, fill: Fill, notes: list[str], train: str, test: str
) -> None:
    fill(tmp_path, *(f"{split}/{label}" for split in (train, test) for label in "abcd"), n=3)
    manifest = scan(tmp_path)
    assert set(manifest.classes) == set("abcd")
    assert set(manifest.counts()) == {"train", split_of(test)}
    (note,) = notes
    assert note.startswith("note: folders used as splits: ")
    assert train in note
    assert test in note
    assert [found.line for found in manifest.notes] == [note]
    assert "taken-for-splits" in [found["code"] for found in audit(with_groups(manifest)).to_dict()["notes"]]


def test_plain_names_of_splits_are_not_reported(tmp_path: Path, fill: Fill, notes: list[str]) -> None:
    fill(tmp_path, *(f"{split}/{label}" for split in ("train", "test") for label in "ab"), n=1)
    scan(tmp_path)
    assert notes == []


def test_a_split_folder_within_itself(tmp_path: Path, fill: Fill) -> None:
    fill(
        tmp_path,
        *(f"{s}/{s}/{c}" for s in ("seg_train", "seg_test") for c in ("sea", "forest")),
        "seg_pred/seg_pred",
        n=2,
    )
    listing = list_files(tmp_path)
    assert {(f.split, f.label) for f in listing.files} == {(s, c) for s in ("train", "test") for c in ("sea", "forest")}
    assert [(Path(i["path"]).name, i["reason"]) for i in listing.ignored] == [
        ("seg_pred", "its images have no label (2 files)")
    ]


def test_folders_named_images_between_split_and_class(tmp_path: Path, fill: Fill) -> None:
    fill(tmp_path, *(f"{s}/images/{c}" for s in ("train", "val") for c in ("a", "b")), n=1)
    assert {f.label for f in list_files(tmp_path).files} == {"a", "b"}


def test_splits_within_each_class(tmp_path: Path, fill: Fill, notes: list[str]) -> None:
    fill(tmp_path, *(f"{c}/{s}" for c in ("cat", "dog") for s in ("Training", "Testing")), "dog/Training/Ann", n=2)
    manifest = scan(tmp_path)
    assert manifest.counts() == {"train": {"cat": 2, "dog": 4}, "test": {"cat": 2, "dog": 2}}
    assert "in each class folder" in notes[0]
    assert set(manifest.table["group"]) == {"", "Ann"}


def test_parallel_folders_are_asked_about(tmp_path: Path, fill: Fill) -> None:
    fill(tmp_path, *(f"{top}/{sub}" for top in ("fold1", "fold2", "fold3") for sub in ("cat", "dog")), n=1)
    with pytest.raises(DataError, match=r"hold the same sub-folders \(cat, dog\).*name them train.*`groups`: parent"):
        list_files(tmp_path)
    assert {f.label for f in list_files(tmp_path, nested_groups=True).files} == {"fold1", "fold2", "fold3"}
    assert {f.label for f in list_files(tmp_path, classes=("fold1", "fold2", "fold3")).files} == {
        "fold1",
        "fold2",
        "fold3",
    }
    with pytest.raises(DataError, match="hold the same sub-folders"):
        list_files(tmp_path, classes=("cat", "dog"))


@pytest.mark.parametrize("subs", [("00000", "01000"), ("part1", "part2"), ("2021-05", "2021-06")])
def test_a_class_cut_into_numbered_parts_is_a_class(tmp_path: Path, fill: Fill, subs: tuple[str, str]) -> None:
    fill(tmp_path, *(f"{top}/{sub}" for top in ("real", "fake") for sub in subs), n=1)
    assert {f.label for f in list_files(tmp_path).files} == {"real", "fake"}


@pytest.mark.parametrize("folders", [("train", "test"), ("val", "test"), ("Training", "Testing")])
def test_splits_without_class_folders_are_asked_about(tmp_path: Path, fill: Fill, folders: tuple[str, str]) -> None:
    fill(tmp_path, *folders, n=2)
    with pytest.raises(DataError, match=r"named like splits.*put each class into a sub-folder"):
        list_files(tmp_path)


def test_images_of_a_split_in_no_class_are_named(tmp_path: Path, fill: Fill) -> None:
    fill(tmp_path, "train/a", "train/b", "test", n=2)
    listing = list_files(tmp_path)
    assert {f.split for f in listing.files} == {"train"}
    assert [i["reason"] for i in listing.ignored] == ["lies beside the class folders"] * 2
    assert listing.warnings[-1].text.startswith("images outside the class folders are left out")


def test_a_vehicle_called_train_is_a_class(tmp_path: Path, fill: Fill) -> None:
    fill(tmp_path, "train", "bus", "car", n=1)
    assert {f.label for f in list_files(tmp_path).files} == {"train", "bus", "car"}


def test_leftovers_are_no_class_and_are_counted(tmp_path: Path, fill: Fill, notes: list[str]) -> None:
    fill(tmp_path, "a", "b", "@eaDir", "a/@eaDir/p00.png", "#recycle", n=4)
    (tmp_path / "a/notes.txt").write_text("no image")
    (tmp_path / "labels.csv").write_text("no image")
    manifest = scan(tmp_path)
    assert manifest.counts() == {"all": {"a": 4, "b": 4}}
    found = audit(with_groups(manifest)).to_dict()
    assert {Path(i["path"]).name for i in found["ignored"]} == {"@eaDir", "#recycle", "notes.txt", "labels.csv"}
    assert len(found["ignored"]) == 5
    assert len([line for line in notes if line.startswith("note: skipped 5 (3 of them folders, with 12 files)")]) == 1
    assert list(expand(tmp_path)) == [Path(p) for p in manifest.table["path"]]


def test_images_without_an_ending_are_read_by_all(tmp_path: Path, fill: Fill) -> None:
    fill(tmp_path, "a", "b", n=4)
    for i, path in enumerate(sorted((tmp_path / "a").iterdir())):
        if i < 2:
            path.rename(path.with_suffix(""))
        else:
            with Image.open(path) as image:
                image.save(path.with_suffix(".ppm"))
            path.unlink()
    manifest = scan(tmp_path)
    assert manifest.counts() == {"all": {"a": 4, "b": 4}}
    assert manifest.ignored == ()
    assert sorted(map(str, expand(tmp_path))) == sorted(manifest.table["path"])


def test_a_class_folder_that_is_a_link_is_read_by_all(tmp_path: Path, fill: Fill) -> None:
    fill(tmp_path, "far/a", "root/b", n=3)
    (tmp_path / "root/a").symlink_to(tmp_path / "far/a")
    manifest = scan(tmp_path / "root")
    assert manifest.counts() == {"all": {"a": 3, "b": 3}}
    assert list(expand(tmp_path / "root")) == [Path(p) for p in manifest.table["path"]]


def test_a_split_that_links_to_another_is_no_second_copy(tmp_path: Path, fill: Fill) -> None:
    fill(tmp_path, "train/a", "train/b", "test/a", "test/b", n=2)
    (tmp_path / "val").symlink_to("test")
    listing = list_files(tmp_path)
    assert {f.split for f in listing.files} == {"train", "test"}
    assert [i["reason"] for i in listing.ignored] == ["is a link to a folder that is already read"]


CAFE = unicodedata.normalize("NFC", "café"), unicodedata.normalize("NFD", "café")


@pytest.mark.parametrize(
    "names",
    [
        CAFE,
        ("dog", "dog "),
        ("dog", " dog"),
        ("dog", "dog."),
        ("hot dog", "hot\u00a0dog"),
        ("dog", "dog\u200b"),
        ("a  b", "a b"),
    ],
)
def test_class_names_that_look_the_same_are_one_class(tmp_path: Path, fill: Fill, names: tuple[str, str]) -> None:
    fill(tmp_path, "bars", *names, n=2)
    listing = list_files(tmp_path)
    labels = {f.label for f in listing.files}
    assert len(labels) == 2
    (warning,) = listing.warnings
    assert warning.code == "class-names-joined"
    assert warning.text.startswith("these names look the same and were joined to one class")
    rows = [{"path": f.key, "label": Path(f.key).parts[0]} for f in listing.files]
    pd.DataFrame(rows).to_csv(tmp_path / "m.csv", index=False)
    table = list_files(tmp_path / "m.csv")
    assert {f.label for f in table.files} == labels
    assert table.warnings == listing.warnings


@pytest.mark.parametrize(
    "names", [("Dog", "dog"), ("hot dog", "hot_dog"), ("cafe", "café"), ("сat", "cat"), ("ｃat", "cat")]
)
def test_class_names_that_look_nearly_the_same_are_warned_of(
    tmp_path: Path, fill: Fill, names: tuple[str, str]
) -> None:
    fill(tmp_path, *names, n=1)
    listing = list_files(tmp_path)
    assert len({f.label for f in listing.files}) == 2
    (warning,) = listing.warnings
    assert warning.code == "class-names-alike"
    assert likeness(names[0]) == likeness(names[1])


def test_class_names_that_differ_are_left_alone() -> None:
    names = ("cat", "cats", "1", "10", "man", "woman", "AI", "real", "..dots")
    assert joined(names) == {name: name for name in names}
    assert name_findings(joined(names)) == []


def test_a_class_in_other_capitals_in_another_split_is_named(tmp_path: Path, fill: Fill) -> None:
    fill(tmp_path, "train/Cat", "train/dog", "test/cat", "test/dog", n=8)
    with pytest.raises(DataError, match=r"'cat' looks like the same class|'Cat' looks like the same class"):
        with_splits(with_groups(scan(tmp_path)))


def test_tables_as_spreadsheets_write_them(tmp_path: Path, fill: Fill) -> None:
    fill(tmp_path / "café", "x", "y", n=2)
    rows = ["Path;Label ;SPLIT;group"]
    composed, apart = CAFE
    rows += [f"{apart}\\x\\p0{i}.png; cat;Training;Ann{' ' * i}" for i in range(2)]
    rows += [f"{apart}/y/p0{i}.png;dog;test_set;Bob" for i in range(2)]
    (tmp_path / "m.csv").write_text("\ufeff" + "\r\n".join(rows), encoding="utf-8")
    manifest = scan(tmp_path / "m.csv")
    assert manifest.unreadable == ()
    assert manifest.counts() == {"train": {"cat": 2}, "test": {"dog": 2}}
    assert set(manifest.table["group"]) == {"Ann", "Bob"}
    assert composed in manifest.table["path"].iloc[0]


def test_too_few_groups_are_reported_before_anything_is_read(
    tmp_path: Path, fill: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, "ai/p", "ai/q", "real/r", "real/t", n=10)
    read: list[object] = []
    monkeypatch.setattr("facevalue.data.scan.facts_of", lambda path: read.append(path))
    with pytest.raises(
        DataError, match=r"'ai' has 2 groups \(p, q; grouped by parent\).*at least 4.*`groups` to image"
    ):
        split_manifest(tmp_path, configured("probe"), None)
    with pytest.raises(DataError, match=r"has 1 group \(p; grouped by stem:\^\.\)"):
        split_manifest(tmp_path, configured("probe"), "stem:^.")
    assert read == []


@pytest.mark.parametrize(("people", "enough"), [(3, False), (4, True)])
def test_each_class_needs_a_group_for_every_split(tmp_path: Path, fill: Fill, people: int, enough: bool) -> None:
    """Three splits are taken from train, so three groups leave none for it."""
    fill(tmp_path, *(f"{label}/{i}" for label in ("ai", "real") for i in range(people)), n=3)
    shares = {"validation": 0.1, "calibration": 0.1, "test": 0.2}
    if enough:
        check_groups(scan(tmp_path), None, shares)
        assert set(split_manifest(tmp_path, configured("scratch"), None).counts()) == {"train", *shares}
    else:
        with pytest.raises(DataError, match=r"'ai' has 3 groups \(0, 1, 2; .*at least 4"):
            check_groups(scan(tmp_path), None, shares)


def test_few_groups_taken_image_by_image(tmp_path: Path, fill: Fill) -> None:
    fill(tmp_path, "ai/p", "ai/q", "real/r", "real/t", n=10)
    assert set(split_manifest(tmp_path, configured("scratch"), "image").counts()) == {
        "train",
        "validation",
        "calibration",
        "test",
    }
    unread = scan(tmp_path)
    shares = {"validation": 0.1, "calibration": 0.1, "test": 0.2}
    with pytest.raises(DataError, match="at least 4"):
        check_groups(unread, None, shares)
    check_groups(unread, "image", shares)
    check_groups(unread.changed(split="train"), None, {})


def dial(seed: int, low: int, high: int) -> Image.Image:
    """One fixed camera: only the hand of a dial moves."""
    rng = np.random.default_rng([low, seed])
    image = Image.new("L", (128, 128), 150)
    draw = ImageDraw.Draw(image)
    draw.ellipse([14, 14, 114, 114], fill=235, outline=20, width=4)
    angle = np.deg2rad(rng.uniform(low, high))
    draw.line([64, 64, 64 + 38 * np.cos(angle), 64 + 38 * np.sin(angle)], fill=10, width=4)
    noisy = np.asarray(image) * (0.85 + 0.3 * rng.random()) + rng.normal(0, 5, (128, 128))
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))


def test_a_fixed_camera_makes_no_class_one_group(tmp_path: Path) -> None:
    for label, low, high in (("low", 150, 260), ("high", 280, 390)):
        (tmp_path / label).mkdir()
        for i in range(60):
            dial(i, low, high).save(tmp_path / label / f"{i:02}.png")
    manifest = with_groups(scan(tmp_path))
    sizes = manifest.table.groupby("label")["group"].agg(lambda g: g.value_counts().max())
    assert sizes.max() < 30
    split = with_splits(manifest)
    assert all(set(of.keys()) == {"low", "high"} for of in split.counts().values())
    crowded, cut = split.warnings[:2]
    assert (crowded.code, cut.code) == ("near-duplicates-take-class", "near-duplicate-chains")
    assert all("`groups`" in found.text and "split.near" in found.text for found in (crowded, cut))
