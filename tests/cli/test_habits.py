"""What is skipped, guessed or refused is reported in the same way by every verb."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

from PIL import Image

Fill = Callable[..., Path]
Shell = Callable[..., "subprocess.CompletedProcess[str]"]


def test_the_shell_names_skipped_files(shell: Shell, tmp_path: Path, fill: Fill) -> None:
    fill(tmp_path / "images", "Training/a", "Training/b", "Testing/a", "Testing/b", "Training/a/@eaDir", n=5)
    (tmp_path / "images/Training/b/list.txt").write_text("no image")
    done = shell("data", "scan", "images", "--json", "found.json")
    assert done.returncode == 0, done.stderr
    assert "folders used as splits: 'Testing' (test), 'Training' (train)" in done.stderr
    assert "skipped 2 (1 of them a folder, with 5 files)" in done.stderr
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["n"] == 20
    assert [(Path(i["path"]).name, i["reason"]) for i in found["ignored"]] == [
        ("@eaDir", "is a system file or folder (5 files)"),
        ("list.txt", "is not an image"),
    ]


def test_scan_predict_and_explain_take_the_same_files(shell: Shell, tmp_path: Path, fill: Fill, model: Path) -> None:
    fill(tmp_path / "far", "b", n=2)
    fill(tmp_path / "images", "a", "a/@eaDir", ".hidden", n=3)
    (tmp_path / "images/b").symlink_to(tmp_path / "far/b")
    (tmp_path / "images/a/p00.png").rename(tmp_path / "images/a/p00")
    (tmp_path / "images/a/notes.txt").write_text("no image")
    (tmp_path / "images/a/loop").symlink_to("..")
    told = "skipped 4 (2 of them folders, with 6 files)"
    scanned = shell("data", "scan", "images", "--json", "scan.json")
    predicted = shell("predict", model, "images", "--json", "predict.json")
    explained = shell("explain", model, "images", "-o", "out", "--json", "explain.json")
    for done in (scanned, predicted, explained):
        assert done.returncode == 0, done.stderr
        assert told in done.stderr
    assert json.loads((tmp_path / "scan.json").read_text())["n"] == 5
    paths = [answer["path"] for answer in json.loads((tmp_path / "predict.json").read_text())]
    assert paths == [f"images/{name}" for name in ("a/p00", "a/p01.png", "a/p02.png", "b/p00.png", "b/p01.png")]
    assert [image["path"] for image in json.loads((tmp_path / "explain.json").read_text())["images"]] == paths


def test_explain_draws_images_with_the_longest_names(shell: Shell, tmp_path: Path, model: Path) -> None:
    (tmp_path / "images").mkdir()
    names = [*("x" * n for n in (200, 232, 240, 251)), "\u4e2d" * 83, "zz"]
    for i, name in enumerate(names):
        Image.new("RGB", (40, 40), (40 * i, 0, 0)).save(tmp_path / "images" / f"{name}.png")
    done = shell("explain", model, "images", "-o", "out", "--json", "explain.json")
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "explain.json").read_text())
    assert len(found["images"]) == len(found["files"]) == len(names)
    assert found["unreadable"] == []
    written = {Path(file).name for file in found["files"]}
    assert written == {path.name for path in (tmp_path / "out").iterdir()}
    assert "zz-gradcam.png" in written
    assert max(len(name.encode()) for name in written) < 160


def test_one_image_that_cannot_be_drawn_costs_no_other(shell: Shell, tmp_path: Path, fill: Fill, model: Path) -> None:
    fill(tmp_path, "images", n=3)
    (tmp_path / "out/p01-gradcam.png").mkdir(parents=True)  # in the way
    done = shell("explain", model, "images", "-o", "out", "--json", "explain.json")
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "explain.json").read_text())
    assert [Path(image["path"]).name for image in found["images"]] == ["p00.png", "p02.png"]
    (bad,) = found["unreadable"]
    assert bad["path"] == "images/p01.png"
    assert bad["reason"].startswith("was not explained: ")
