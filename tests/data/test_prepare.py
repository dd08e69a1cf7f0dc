"""Raw class folders become leak-free splits whose file facts do not predict the class."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import typer
from PIL import Image
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import cross_val_score

import facevalue
from facevalue.data.groups import with_groups
from facevalue.data.leaks import find_leaks
from facevalue.data.manifest import SPLITS
from facevalue.data.prepare import LEFT_OUT, PREPARED, Preparation, prepare
from facevalue.data.scan import scan
from facevalue.data.splits import with_splits
from facevalue.errors import DataError, UsageError

from .. import commands

Fill = Callable[..., Path]
SMALL = Preparation(size=32)


def facts(path: Path) -> list[float]:
    """The facts of a file that need no decoding."""
    with Image.open(path) as image:
        tables = getattr(image, "quantization", {})
        return [
            path.stat().st_size,
            *image.size,
            path.stat().st_size / image.width / image.height,
            hash(image.format) % 97,
            hash(image.mode) % 97,
            sum(sum(t) for t in tables.values()),
            len(image.getexif()),
            len(image.info.get("icc_profile", b"")),
        ]


def shortcut(root: Path) -> float:
    """Cross-validated AUC of the class from the files' facts alone."""
    paths = [p for p in sorted(root.rglob("*")) if p.suffix in (".png", ".jpg")]
    labels = ["real" in p.parts for p in paths]
    forest = RandomForestClassifier(60, min_samples_leaf=3, random_state=0)
    return float(cross_val_score(forest, [facts(p) for p in paths], labels, cv=5, scoring="roc_auc").mean())


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Photographs as JPEG with EXIF, a profile and many sizes; generated ones as PNG: the same kind of content."""
    from PIL import ImageCms

    rng = np.random.default_rng(0)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x010F] = "Camera"
    for i in range(120):
        label = "real" if i % 2 else "ai"
        image = Image.fromarray(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8))
        folder = tmp_path / "raw" / label / f"{label}-source{i % 3}"
        folder.mkdir(parents=True, exist_ok=True)
        if label == "real":
            big = image.resize((90 + i % 40, 80), Image.Resampling.BICUBIC)
            big.save(folder / f"{i // 6}.jpg", quality=70 + i % 25, exif=exif, icc_profile=profile)
        else:
            image.resize((64, 64), Image.Resampling.BICUBIC).save(folder / f"{i // 6}.png")
    return tmp_path / "raw"


@pytest.mark.parametrize("encoding", ["png", "jpeg"])
def test_prepared_files_do_not_predict_the_class(raw: Path, tmp_path: Path, encoding: Any) -> None:
    assert shortcut(raw) > 0.99
    done = prepare(raw, tmp_path / "out", Preparation(size=48, format=encoding, groups="image"))
    made = [tmp_path / "out" / p for p in done.manifest.table["path"]]
    assert len(made) == 120
    told = [facts(p) for p in made]
    assert len({tuple(fact[1:3] + fact[4:]) for fact in told}) == 1  # all but the bytes
    if encoding == "png":  # nor the file sizes: nothing is compressed
        assert len({fact[0] for fact in told}) == 1
        assert shortcut(tmp_path / "out") == 0.5
    heads = set()
    for path in made:
        data = path.read_bytes()
        if encoding == "jpeg":
            heads.add(data[: data.index(b"\xff\xda")])  # all tables up to the scan
        else:
            heads.add((data[:33], data.count(b"tEXt"), data.count(b"eXIf"), data.count(b"iCCP")))
    assert len(heads) == 1


def test_everything_is_where_the_manifest_says(tmp_path: Path, fill: Fill) -> None:
    raw = fill(tmp_path / "raw", *(f"human/person{i}" for i in range(20)), n=3)
    fill(raw, "object", n=40, first=90_000)
    done = prepare(raw, tmp_path / "out", SMALL)
    figures = done.to_dict()
    table = pd.read_parquet(tmp_path / "out" / "manifest.parquet")
    on_disk = {str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*.png")}
    assert set(table["path"]) == on_disk
    assert {p.name for p in (tmp_path / "out").iterdir()} == {*SPLITS, "manifest.parquet", LEFT_OUT, PREPARED}
    assert sum(n for by in figures["counts"].values() for n in by.values()) == figures["n"] == len(table) == 100
    assert figures["counts"] == {
        split: {label: sum(p.startswith(f"{split}/{label}/") for p in on_disk) for label in ("human", "object")}
        for split in SPLITS
    }
    assert figures["groups"]["how"] == "parent"
    assert figures["groups"]["count"] == 60
    assert figures["groups"]["grouped"] == 60
    assert table.groupby("group")["split"].nunique().max() == 1
    assert json.loads((tmp_path / "out" / PREPARED).read_text())["counts"] == figures["counts"]
    for row in table.sample(8, random_state=0).itertuples():
        original = SMALL.preprocessing.read((raw / str(row.origin)).read_bytes())
        np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "out" / str(row.path))), original)


@pytest.mark.parametrize("groups", [None, r"stem:^([a-z]+\d+)"])
def test_train_keeps_groups_and_splits(tmp_path: Path, image: Any, groups: str | None) -> None:
    for first, label in ((0, "horse"), (5000, "human")):
        for i in range(60):
            folder = "" if groups else f"{label}{i // 3:02}"
            image(tmp_path / "raw" / label / folder / f"{label}{i // 3:02}-{i % 3}.png", first + i)
    done = prepare(tmp_path / "raw", tmp_path / "out", Preparation(size=32, groups=groups))
    expected = done.manifest.table.set_index("path")
    for source in (tmp_path / "out", tmp_path / "out" / "manifest.parquet"):
        read = with_splits(with_groups(scan(source)))
        table = read.table.set_index("key")
        assert table["split"].to_dict() == expected["split"].to_dict()
        assert table["group"].to_dict() == expected["group"].to_dict()
        assert read.fingerprint() == done.manifest.fingerprint()
        assert read.warnings == ()


def test_a_model_trains_on_it_and_its_card_knows(lfw: Path, tmp_path: Path, tiny: dict[str, object]) -> None:
    done = facevalue.prepare_data(lfw, tmp_path / "out", size=24)
    result = facevalue.train(done.folder, tmp_path / "model", recipe="scratch", size=24, epochs=1, settings=tiny)
    assert result.card.data.counts == done.to_dict()["counts"]
    assert result.card.provenance.fingerprint == done.manifest.fingerprint()


@pytest.fixture
def tiny() -> dict[str, object]:
    return {"network.options": {"widths": [8, 16]}, "fit.patience": 0}


def test_same_names_in_nested_folders_do_not_collide(tmp_path: Path, fill: Fill, image: Any) -> None:
    raw = fill(tmp_path / "raw", "a/x", "a/y/z", "b/x", "b/y", n=10)
    image(raw / "a/x/P00.png", 77_000)  # the same name where upper and lower case are one
    shutil.copy(raw / "a/x/p01.png", raw / "a/x/p01.bmp.png")
    done = prepare(raw, tmp_path / "out", Preparation(size=32, groups="image"))
    paths = done.manifest.table["path"]
    assert len(paths) == 42
    assert paths.str.casefold().is_unique
    assert all((tmp_path / "out" / p).is_file() for p in paths)
    assert set(done.manifest.table["origin"]) == {str(p.relative_to(raw)) for p in raw.rglob("*.png")}


def test_unreadable_images_are_listed(tmp_path: Path, fill: Fill) -> None:
    raw = fill(tmp_path / "raw", "a", "b", n=20)
    (raw / "a/empty.png").touch()
    (raw / "b/text, with a comma.jpg").write_text("no image")
    data = (raw / "a/p00.png").read_bytes()
    (raw / "a/cut.png").write_bytes(data[: len(data) // 2])
    done = prepare(raw, tmp_path / "out", SMALL)
    with (tmp_path / "out" / LEFT_OUT).open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert rows == list(done.left_out)
    assert [(Path(r["path"]).name, r["label"], r["reason"]) for r in rows] == [
        ("cut.png", "a", "is truncated"),
        ("empty.png", "a", "the file is empty"),
        ("text, with a comma.jpg", "b", "is not an image in a known format"),
    ]
    assert len(done.to_dict()["unreadable"]) == 3
    assert done.to_dict()["n"] == 40


def test_near_duplicates_stay_together_also_as_they_look_afterwards(tmp_path: Path, fill: Fill) -> None:
    raw = fill(tmp_path / "raw", "a", "b", n=25)
    for i in range(0, 20, 2):
        with Image.open(raw / f"a/p{i:02}.png") as image:
            image.resize((61, 61)).save(raw / f"a/again{i}.jpg", quality=60)
    done = prepare(raw, tmp_path / "out", SMALL)
    table = done.manifest.table.set_index("origin")
    for i in range(0, 20, 2):
        assert table["split"][f"a/again{i}.jpg"] == table["split"][f"a/p{i:02}.png"]
        assert Path(table["path"][f"a/again{i}.jpg"]).parent == Path(table["path"][f"a/p{i:02}.png"]).parent
    assert find_leaks(with_groups(scan(tmp_path / "out")).readable) == ()


def official(tmp_path: Path, fill: Fill) -> Path:
    raw = fill(tmp_path / "raw", "train/a", "train/b", n=30)
    fill(raw, "val/a", "val/b", n=10, first=50_000)
    shutil.copy(raw / "train/a/p07.png", raw / "val/a/leak.png")
    return raw


def test_official_splits_are_kept_and_their_leak_reported(tmp_path: Path, fill: Fill) -> None:
    raw = official(tmp_path, fill)
    done = prepare(raw, tmp_path / "out", SMALL)
    figures = done.to_dict()
    assert figures["n"] == 81
    assert sum(figures["counts"]["test"].values()) == 21  # the only held-out folder is the test
    assert [leak["examples"] for leak in figures["leaks"]] == [["train/a/p07.png", "val/a/leak.png"]]
    [leak] = [w for w in figures["warnings"] if w["code"] == "leak-across-splits"]
    assert leak["text"].startswith("the given splits leak: 2 images in 1 groups are in several splits, 2 of")
    with pytest.raises(DataError, match="the given splits leak"):
        prepare(raw, tmp_path / "other", Preparation(size=32, leaks="error"))
    assert not (tmp_path / "other").exists()


def test_a_leak_is_removed_from_training_on_request(tmp_path: Path, fill: Fill) -> None:
    done = prepare(official(tmp_path, fill), tmp_path / "out", Preparation(size=32, leaks="drop"))
    assert done.to_dict()["n"] == 80
    assert [(Path(r["path"]).name, r["reason"]) for r in done.left_out] == [
        ("p07.png", "a later split holds the same image or group")
    ]
    assert find_leaks(with_groups(scan(tmp_path / "out")).readable) == ()


def test_with_an_earlier_folder_nothing_moves(tmp_path: Path, fill: Fill, image: Callable[[Path, int], Path]) -> None:
    raw = fill(tmp_path / "raw", "a", "b", n=20)
    first = prepare(raw, tmp_path / "first", SMALL).manifest.table
    for label in ("a", "b", "c"):
        for i in range(20, 40):
            image(raw / label / f"p{i}.png", 300_000 + 1000 * ord(label) + i)
    fill(raw, "c", n=20, first=600_000)
    (raw / "a/p00.png").rename(raw / "a/renamed.png")
    again = Preparation(size=24, seed=9, like=tmp_path / "first")
    second = prepare(raw, tmp_path / "second", again).manifest.table
    was = dict(zip(first["origin_sha256"], first["split"], strict=True))
    now = dict(zip(second["origin_sha256"], second["split"], strict=True))
    assert len(was) == 40
    assert {sha256: now[sha256] for sha256 in was} == was
    assert len(now) == 120
    with pytest.raises(UsageError, match="does not exist; give an earlier manifest"):
        prepare(raw, tmp_path / "third", Preparation(size=32, like=tmp_path / "nowhere"))


def test_unevenly_enlarged_classes_are_reported(tmp_path: Path, fill: Fill) -> None:
    raw = fill(tmp_path / "raw", "a", "b", n=20)
    for path in (raw / "b").iterdir():
        with Image.open(path) as image:
            image.resize((24, 24)).save(path)
    (warning,) = prepare(raw, tmp_path / "out", Preparation(size=64)).manifest.warnings
    assert warning.code == "classes-enlarged-unevenly"
    assert warning.text.startswith("100 % of b but 0 % of a had to be enlarged to 64 pixels")
    assert warning.text.endswith("with `size` 24 few images are enlarged")
    assert prepare(raw, tmp_path / "small", Preparation(size=24)).manifest.warnings == ()


def test_the_same_bytes_again(tmp_path: Path, fill: Fill) -> None:
    raw = fill(tmp_path / "raw", "a", "b", n=10)
    trees = []
    for name in ("one", "two"):
        prepare(raw, tmp_path / name, SMALL)
        trees.append({p.relative_to(tmp_path / name): p.read_bytes() for p in (tmp_path / name).rglob("*.png")})
    assert trees[0] == trees[1]


# Through the command line: one line, the right exit code, nothing half-written.


def command(*arguments: object) -> list[str]:
    return [*commands.facevalue(), "data", "prepare", *map(str, arguments)]


def refused(done: subprocess.CompletedProcess[str], code: int, told: str) -> None:
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert told in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_from_the_shell(lfw: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        command(lfw, "-o", "out", "--size", "24", "--format", "jpeg", "--json", "-"),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["path"] == "out"
    assert set(figures["counts"]) == set(SPLITS)
    assert len(list((tmp_path / "out").rglob("*.jpg"))) == 200


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["nowhere", "-o", "out"], 2, "nowhere does not exist"),
        (["raw", "-o", "raw/out"], 2, "contains the other"),
        (["raw", "-o", "."], 2, "already exists and is not a prepared folder"),
        (["raw", "-o", "taken"], 2, "taken already exists and is not a prepared folder"),
        (["raw", "-o", "out", "--format", "gif"], 2, "'gif' is not one of 'png', 'jpeg'"),
        (["raw", "-o", "out", "--fit", "bend"], 2, "'bend' is not one of 'squash', 'crop', 'pad'"),
        (["raw", "-o", "out", "--size", "9999"], 2, "8 to 4096"),
        (["raw", "-o", "out", "--groups", "parent"], 1, "lies in a folder below its class"),
        (["raw/a", "-o", "out"], 1, "has no labelled images"),
    ],
)
def test_bad_input_is_one_line(
    tmp_path: Path,
    fill: Fill,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    told: str,
) -> None:
    from facevalue.cli import app
    from facevalue.cli.common.shell import run

    fill(tmp_path / "raw", "a", "b", n=2)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/notes.txt").write_text("mine")
    before = sorted(p.name for p in tmp_path.rglob("*"))
    monkeypatch.chdir(tmp_path)
    ended = run(typer.main.get_command(app).main, ["data", "prepare", *arguments])
    output, errors = capsys.readouterr()
    refused(subprocess.CompletedProcess(arguments, ended, output, errors), code, told)
    assert sorted(p.name for p in tmp_path.rglob("*")) == before


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", folder], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"mounting a small file system is not permitted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk(lfw: Path, full_disk: Path) -> None:
    arguments = command(lfw, "-o", full_disk / "out", "--size", "64")
    refused(subprocess.run(arguments, capture_output=True, text=True, timeout=60), 1, "the disk is full")
    assert list(full_disk.iterdir()) == []


def test_ctrl_c_leaves_what_was_there(lfw: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    prepare(lfw, out, Preparation(size=24))
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    arguments = [*commands.FROM_NOTHING, "data", "prepare", lfw, "-o", out, "--size", "1024", "--overwrite"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        until = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < until:
            if any(len(list(p.glob(".encoded/*"))) > 5 for p in tmp_path.glob(".out.*")):
                break
            time.sleep(0.005)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert errors.splitlines()[-1] == "error: interrupted; nothing was left half-written"
    assert {p: p.read_bytes() for p in out.rglob("*") if p.is_file()} == before
    assert os.listdir(tmp_path) == ["out"]  # noqa: PTH208 - hidden ones too
