"""Predictions of models of faces: rows, boxes, abstentions, and what is given to the network."""

from __future__ import annotations

import csv
import json
import shutil
from copy import deepcopy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer
from PIL import Image

from facevalue.cli import app
from facevalue.cli.common.shell import run
from facevalue.errors import DataError, ModelFolderError, UsageError
from facevalue.evidence.card import ModelCard, NetworkFacts
from facevalue.evidence.gate_facts import DETECTOR
from facevalue.faces import model_file
from facevalue.faces.yunet import YuNet
from facevalue.images.face_crop import square_around
from facevalue.images.preprocessing import Preprocessing
from facevalue.models.classifier import Classifier
from facevalue.runtime import open_folder
from facevalue.runtime.bulk import write_csv, write_parquet

from ..faces.drawn import HEIGHT, WIDTH, detector, drawn, facts, gate, write_face_model

FILE = "face-detector/face_detection_yunet_2026may.onnx"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Classifier]:
    folder = tmp_path_factory.mktemp("faces") / "model"
    return folder, write_face_model(folder)


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    """One face, none, two, an unreadable file."""
    (tmp_path / "images").mkdir()
    paths = [tmp_path / "images" / name for name in ("one.png", "none.png", "two.png", "bad.png")]
    drawn((80, 60)).save(paths[0])
    drawn(seed=1).save(paths[1])
    drawn((40, 60), (120, 60), seed=2).save(paths[2])
    paths[3].write_bytes(b"no image")
    return paths


def shell(*arguments: str | Path) -> int:
    """The exit code of a command, run in this process without changing it."""
    return run(typer.main.get_command(app).main, [str(argument) for argument in arguments])


def test_the_network_sees_the_crop_and_the_folder_answers_as_the_classifier(
    made: tuple[Path, Classifier], images: list[Path]
) -> None:
    folder, classifier = made
    predictor = open_folder(folder)
    one, none, two, bad = predictor.predict(images, heat=True)
    assert one.box == (84 - WIDTH // 2, 60 - HEIGHT // 2, WIDTH, HEIGHT)
    assert (one.face, one.faces, one.abstained, one.detail) == (0, 1, False, None)
    crop = drawn((80, 60)).crop(square_around(one.box, 0.3, (160, 120)))
    assert crop.size == (102, 102)
    pixels = Preprocessing(size=32).apply(crop)
    np.testing.assert_array_equal(predictor.pixels_of(images[0].read_bytes()), pixels)
    assert predictor.predict_pixels(pixels[None])[0][0].probabilities == one.probabilities
    assert (none.label, none.probabilities, none.reasons, none.leaning) == (None, {}, ("no_face",), None)
    assert (none.face, none.faces, none.box, none.detail) == (None, 0, None, "no face was found")
    assert none.abstained
    assert none.heat is None
    assert two.reasons == ("gate_unsure",)
    assert two.faces == 2
    assert two.label is None
    assert two.leaning in ("ai", "real")
    assert bad.error == "is not an image in a known format"
    assert bad.faces is None
    for ours, theirs in zip((one, none, two, bad), classifier.predict(images), strict=True):
        assert list(ours.probabilities.values()) == pytest.approx(list(theirs.probabilities.values()), abs=1e-5)
        assert (ours.box, ours.reasons, ours.error, ours.detail) == (
            theirs.box,
            theirs.reasons,
            theirs.error,
            theirs.detail,
        )


def test_all_faces_are_rows_in_every_table(made: tuple[Path, Classifier], images: list[Path], tmp_path: Path) -> None:
    predictor = open_folder(made[0])
    rows = predictor.predict(images, faces="all")
    assert [(Path(str(row.path)).stem, row.face, row.faces) for row in rows] == [
        ("one", 0, 1),
        ("none", None, 0),
        ("two", 0, 2),
        ("two", 1, 2),
        ("bad", None, None),
    ]
    assert not rows[2].abstained
    assert rows[2].box != rows[3].box
    write_csv(rows, tmp_path / "t.csv", predictor.card.classes)
    with (tmp_path / "t.csv").open(newline="") as stream:
        table = list(csv.DictReader(stream))
    assert [row["face"] for row in table] == ["0", "", "0", "1", ""]
    assert table[0]["box"] == "60 28 48 64"
    assert table[1]["detail"] == "no face was found"
    assert table[1]["p_ai"] == ""
    write_parquet(rows, tmp_path / "t.parquet", predictor.card.classes)
    assert pd.read_parquet(tmp_path / "t.parquet")["faces"].tolist()[:4] == [1, 0, 2, 2]


def test_in_the_shell(
    made: tuple[Path, Classifier], images: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shell("predict", made[0], *images, "--faces", "all", "--json", tmp_path / "a.json") == 0
    rows = json.loads((tmp_path / "a.json").read_text())
    assert [row["box"] for row in rows][:2] == [[60, 28, 48, 64], None]
    assert [row["faces"] for row in rows] == [1, 0, 2, 2, None]
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split("\t")[1:] == ["-", "-", "no_face (the image shows no face)"]
    assert shell("predict", made[0], images[2]) == 0
    assert "gate_unsure (several: there are 2 faces" in capsys.readouterr().out


def test_an_image_without_a_face_has_no_probabilities(made: tuple[Path, Classifier], images: list[Path]) -> None:
    assert open_folder(made[0]).predict_proba(images[::2]).shape == (2, 2)
    with pytest.raises(DataError, match=r"none\.png shows no face, so it has no probabilities"):
        open_folder(made[0]).predict_proba(images[:2])


def test_the_detector_is_checked_as_the_other_files(made: tuple[Path, Classifier], tmp_path: Path) -> None:
    folder = shutil.copytree(made[0], tmp_path / "model")
    (folder / DETECTOR).write_bytes(detector() + b" ")
    with pytest.raises(ModelFolderError, match=r"face_detector\.onnx was changed or damaged"):
        open_folder(folder)
    (folder / DETECTOR).unlink()
    with pytest.raises(ModelFolderError, match=r"face_detector\.onnx is missing"):
        open_folder(folder)


def test_without_the_gate_whole_images_are_judged_and_that_is_said(
    made: tuple[Path, Classifier], images: list[Path], notes: list[str]
) -> None:
    predictor = open_folder(made[0], gate="none")
    assert "face-gate-off" in notes[0]
    one, none = predictor.predict(images[:2])
    assert one.faces is None
    assert none.label in ("ai", "real")
    whole = Preprocessing(size=32).apply(drawn((80, 60)))
    assert predictor.predict_pixels(whole[None])[0][0].probabilities == one.probabilities
    assert predictor.card.decision() != ModelCard.load(made[0]).decision()
    with pytest.raises(UsageError, match="`faces` all needs a model that was trained with a face gate"):
        predictor.predict(images, faces="all")


def test_a_model_of_faces_never_gets_a_whole_image_unnoticed(made: tuple[Path, Classifier], images: list[Path]) -> None:
    classifier = deepcopy(made[1])
    assert classifier.gate is made[1].gate
    classifier.gate = None
    with pytest.raises(ValueError, match="this preprocessing is for faces"):
        classifier.predict(images[:1])
    with pytest.raises(ModelFolderError, match=r"gate and preprocessing\.face_margin together"):
        made[1].card.changed(gate=None)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"gate": "eyes"}, "Expected `gate` to be face or none, but got 'eyes'"),
        ({"gate": "none", "gate_model": "x"}, "`gate_model` needs `gate` face"),
        ({"gate_model": "absent.onnx"}, "absent.onnx cannot be read: No such file or directory"),
    ],
)
def test_wrong_use_is_one_line(made: tuple[Path, Classifier], asked: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        open_folder(made[0], **asked)  # type: ignore[arg-type]


def test_another_detector_than_the_card_s_is_refused(made: tuple[Path, Classifier], tmp_path: Path) -> None:
    (tmp_path / "other.onnx").write_bytes(detector() + b" ")
    with pytest.raises(UsageError, match=r"other\.onnx is not the face detector that is needed"):
        open_folder(made[0], gate_model=tmp_path / "other.onnx")
    (tmp_path / "same.onnx").write_bytes(detector())
    (made[0] / DETECTOR).rename(made[0] / "away")  # a folder without the file, as some registries make
    try:
        assert open_folder(made[0], gate_model=tmp_path / "same.onnx").gate is not None
    finally:
        (made[0] / "away").rename(made[0] / DETECTOR)


def test_without_the_file_the_line_says_how_to_get_it(
    folder: Path, lfw: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FACEVALUE_CACHE", str(tmp_path))
    assert shell("predict", folder, lfw / "face", "--gate", "face") == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "facevalue data get yunet" in line
    assert "--gate-model" in line
    assert "--gate to none" in line


@pytest.mark.data
def test_before_a_model_of_whole_images_faces_are_only_looked_for(
    folder: Path, classifier: Classifier, shared_data: Path, notes: list[str]
) -> None:
    face = sorted((shared_data / "human-or-object" / "human").glob("*/*.jpg"))[0]
    thing = shared_data / "human-or-object" / "object" / "ant" / "image_0001.jpg"
    predictor = open_folder(folder, gate="face", gate_model=shared_data / FILE)
    assert any("face-gate-not-in-training" in note for note in notes)
    seen, unseen = predictor.predict([face, thing])
    (whole,) = classifier.predict(face)
    assert seen.box is not None
    assert list(seen.probabilities.values()) == pytest.approx(list(whole.probabilities.values()), abs=1e-5)
    assert unseen.reasons == ("no_face",)
    with pytest.raises(UsageError, match="`faces` all needs a model"):
        predictor.predict(face, faces="all")


def test_the_published_file_is_pinned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEVALUE_CACHE", str(tmp_path))
    path = model_file.default_path()
    path.parent.mkdir(parents=True)
    path.write_bytes(detector())
    with pytest.raises(UsageError, match=f"expected {model_file.SHA256}; run `facevalue data get yunet`"):
        model_file.found()
    assert isinstance(model_file.found(path, facts().sha256), YuNet)


def test_an_image_in_memory_has_a_box_too(made: tuple[Path, Classifier]) -> None:
    image = drawn((80, 60))
    predictor = open_folder(made[0])
    first, second, third = predictor.predict([image, np.asarray(image), Image.fromarray(np.asarray(image))])
    assert first.box == second.box == third.box == gate().look(image)[0].box
    assert first.probabilities == second.probabilities


def test_the_hash_of_what_decides_stays_the_same_in_later_versions() -> None:
    card = ModelCard(
        classes=("a", "b"),
        preprocessing=Preprocessing(size=32, fit="pad"),
        network=NetworkFacts(name="small-cnn"),
        files={"model.onnx": "1"},
    )
    # A server gives it as the model's version: an update of facevalue alone must not change it.
    assert card.decision() == "7704e3d4c20e7423cc1dfc5ccd2e7bd8e9c244f08dae95040f7e39f07800edd4"
