"""Bad input through the real command line: one line on standard error, the right exit code, nothing half-written."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from facevalue.models.classifier import Classifier

from .. import commands
from ..commands import FROM_NOTHING

SMALL = ("--recipe", "scratch", "--size", "24", "--set", "network.options={widths=[8, 16]}")
# Root may write anywhere; without these two capabilities it is like any other user.
UNPRIVILEGED = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search")


def facevalue(*arguments: object, epochs: int = 1, **options: object) -> subprocess.CompletedProcess[str]:
    """Run the command line; ``train`` gets settings that take seconds."""
    words = command(*arguments, epochs=epochs)
    if "preexec_fn" not in options:
        words[: len(FROM_NOTHING)] = commands.facevalue()
    return subprocess.run(words, capture_output=True, text=True, timeout=250, **options)  # type: ignore[call-overload,no-any-return]


def command(*arguments: object, epochs: int = 1) -> list[str]:
    small = (*SMALL, "--epochs", str(epochs)) if arguments[0] == "train" else ()
    return [*FROM_NOTHING, *map(str, arguments), *small]


def refused(done: subprocess.CompletedProcess[str], code: int, told: str) -> None:
    """The last line says what is wrong; those before it are progress and notes, and no traceback."""
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert done.stderr.splitlines()[-1] == errors[0]
    assert told in errors[0]
    assert "Traceback" not in done.stderr
    assert "unexpected" not in done.stderr


def beside(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 120 KiB: the first epoch's checkpoint fits, what follows does not."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=120k", "tmpfs", folder], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"mounting a small file system is not permitted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_during_training(lfw: Path, full_disk: Path) -> None:
    done = facevalue("train", lfw, "-o", full_disk / "model", epochs=3)
    refused(done, 1, "the disk is full: ")
    assert "free some space and run again" in done.stderr
    assert beside(full_disk) <= {"model.training"}


@pytest.mark.usefixtures("not_measured")
def test_a_file_larger_than_the_system_allows(lfw: Path, tmp_path: Path) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (16_000, 16_000))

    done = facevalue("train", lfw, "-o", tmp_path / "model", preexec_fn=limit)
    refused(done, 1, "a file exceeds the size limit (ulimit -f): ")
    assert beside(tmp_path) == set()


def test_stopped_and_killed_and_resumed_it_ends_with_the_same_weights(lfw: Path, tmp_path: Path) -> None:
    epochs = 30  # so that a signal after the ninth is heard before the last, however late this process is
    whole, model, checkpoint = tmp_path / "whole", tmp_path / "model", tmp_path / "model.training"
    assert facevalue("train", lfw, "-o", whole, epochs=epochs).returncode == 0

    def stopped_after(epoch: int, how: signal.Signals, *resume: str) -> tuple[int, str]:
        begun = command("train", lfw, "-o", model, *resume, epochs=epochs)
        with subprocess.Popen(begun, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            until = time.monotonic() + 200
            while process.poll() is None and time.monotonic() < until:
                try:
                    if len(json.loads((checkpoint / "state.json").read_text())["history"]) >= epoch:
                        break
                except FileNotFoundError:
                    pass  # before the first epoch's end, and for a moment while the folder is replaced
                time.sleep(0.005)
            process.send_signal(how)
            output, errors = process.communicate(timeout=30)
        assert output == ""
        return process.returncode, errors

    code, errors = stopped_after(3, signal.SIGINT)
    assert code == 130, errors
    last = errors.splitlines()[-1]
    assert last == f"error: interrupted; progress is saved in {checkpoint}; run the same again to go on"
    assert beside(tmp_path) == {"whole", "model.training"}

    code, errors = stopped_after(9, signal.SIGKILL, "--resume")
    assert code == -signal.SIGKILL, errors
    assert f"going on with the unfinished run in {checkpoint}; --fresh would start over" in errors
    assert "resuming after epoch " in errors
    assert not model.exists()
    assert (tmp_path / ".model.lock").exists()  # the lock of a killed process does not block

    for flags in ((), ("--resume",)):
        other = facevalue("train", lfw, "-o", model, *flags, "--seed", 1, epochs=epochs)
        refused(other, 2, "is an unfinished run with other settings or images: seed (0 then, 1 now)")
        assert "give --fresh to remove it" in other.stderr
        assert checkpoint.is_dir()
    refused(facevalue("train", lfw, "-o", model, "--resume", "--fresh", epochs=epochs), 2, "give only one of them")

    done = facevalue("train", lfw, "-o", model, epochs=epochs)  # without a flag it goes on
    assert done.returncode == 0, done.stderr
    first, second = load_file(whole / "weights.safetensors"), load_file(model / "weights.safetensors")
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert beside(tmp_path) == {"whole", "model"}  # no half-written file of the killed process either


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("file/model", "cannot be written to"),
        (".", "is a mount point or the current folder and cannot be replaced"),
        (b"m\xff", "is not UTF-8"),
    ],
)
def test_an_output_that_cannot_be_written_is_reported_before_the_work(
    lfw: Path, tmp_path: Path, place: str | bytes, told: str
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "here").mkdir()
    done = facevalue(
        "train", lfw, "-o", os.fsdecode(place) if place != "file/model" else "../file/model", cwd=tmp_path / "here"
    )
    refused(done, 2, told)
    assert len(done.stderr.splitlines()) == 1
    assert beside(tmp_path) == {"file", "here"}


@pytest.mark.skipif(
    os.geteuid() == 0 and shutil.which("setpriv") is None, reason="root may write anywhere, and there is no setpriv"
)
def test_what_may_not_be_read_or_written(made: Classifier, lfw: Path, tmp_path: Path) -> None:
    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        as_everybody = UNPRIVILEGED if os.geteuid() == 0 else ()
        words = [*commands.facevalue(*as_everybody), *command(*arguments)[len(FROM_NOTHING) :]]
        return subprocess.run(words, capture_output=True, text=True, timeout=250)

    data, locked = tmp_path / "data", tmp_path / "locked"
    shutil.copytree(lfw, data)
    model = shutil.copytree(made.folder, locked / "model")
    before = (model / "card.json").read_bytes()
    for folder in (locked, model):
        folder.chmod(0o555)
    (data / "face").chmod(0)
    try:
        refused(run("train", lfw, "-o", locked / "new"), 2, f"{locked} cannot be written to")
        # Not «one class only», and never a model of only the readable images.
        refused(run("train", data, "-o", tmp_path / "new"), 1, f"{data / 'face'} cannot be listed: Permission denied")
        refused(run("evaluate", model, lfw), 2, "the figures cannot be saved; give --no-save to only show them")
        refused(run("attack", model, lfw, "--eps", "0"), 2, "give --no-save to only show them")
        assert run("evaluate", model, lfw, "--no-save").returncode == 0
    finally:
        for folder in (locked, model, data / "face"):
            folder.chmod(0o755)
    assert (model / "card.json").read_bytes() == before
    assert beside(tmp_path) == {"data", "locked"}


def test_other_classes_and_weights_for_another_network(made: Classifier, lfw: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    for label in ("cat", "dog"):
        (other / label).mkdir(parents=True)
        shutil.copy(lfw / "face" / "face-000.png", other / label / f"{label}.png")
    done = facevalue("evaluate", made.folder, other, "--json", "-")
    refused(done, 1, f"the model knows face, not-face; {other} has cat, dog")
    weights = made.folder / "weights.safetensors"
    done = facevalue("train", lfw, "-o", tmp_path / "m", "--network", "small-inception", "--weights", weights)
    refused(done, 2, f"{weights} does not fit small-inception: 70 missing: inception")
    assert beside(tmp_path) == {"other"}


def test_names_of_every_kind(lfw: Path, tmp_path: Path) -> None:
    """Line breaks, brackets, commas and upper case in names; a link that leads back; a name that is not UTF-8."""
    data = tmp_path / "da ta"
    classes = {"a,b": "face", "<b>": "not-face", "ü [red]x": "not-face"}
    for number, (label, source) in enumerate(classes.items()):
        (data / label).mkdir(parents=True)
        for i, file in enumerate(sorted((lfw / source).iterdir())[40 * number : 40 * number + 20]):
            shutil.copy(file, data / label / f"n\n{i} é.PNG")
    (data / "a,b" / "back").symlink_to("..")
    (data / "a,b" / "itself").symlink_to(".")
    (data / "a,b" / "n\n0 é.PNG").rename(data / "a,b" / os.fsdecode(b"\xff.png"))
    done = facevalue("train", f"{data}/", "-o", tmp_path / "mödel", "--json", "-")
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["classes"] == sorted(classes)
    counts = figures["data"]["counts"]
    assert sum(sum(split.values()) for split in counts.values()) == 59
    assert [bad["reason"] for bad in figures["data"]["unreadable"]] == ["has a name that is not UTF-8; rename it"]
    shown = facevalue("evaluate", tmp_path / "mödel", data).stdout
    assert "true / predicted  <b>  a,b  ü [red]x" in shown
    page = (tmp_path / "mödel" / "report.html").read_text()
    assert "&lt;b&gt;" in page
    told = facevalue("predict", tmp_path / "mödel", data, "--json", "-", "--csv", tmp_path / "a.csv")
    assert len(json.loads(told.stdout)) == len(pd.read_csv(tmp_path / "a.csv")) == 60


def test_the_images_are_found_from_another_folder_and_reported_when_moved(lfw: Path, tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    shutil.copytree(lfw, here / "images")
    there.mkdir()
    assert facevalue("train", "images", "-o", "../model", cwd=here).returncode == 0
    export = ("export", "../model", "-o", "model.onnx")
    assert facevalue(*export, cwd=there).returncode == 0
    (there / "model.onnx").unlink()
    (here / "images").rename(tmp_path / "moved")
    refused(facevalue(*export, cwd=there), 1, "are no longer where they were; name other images with --images")
    assert beside(there) == set()
    assert facevalue(*export, "--images", "../moved", cwd=there).returncode == 0
    assert beside(there) == {"model.onnx"}
