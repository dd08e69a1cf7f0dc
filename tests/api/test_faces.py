"""A model of faces from training to its folder, and every verb on it; faces are drawn, and so is their detector."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import facevalue as fv
from facevalue.errors import DataError, UsageError
from facevalue.evidence.card import ModelCard
from facevalue.evidence.gate_facts import DETECTOR
from facevalue.faces import model_file
from facevalue.models.classifier import Classifier

from ..faces.drawn import detector, drawn, facts

Settings = dict[str, object]


@pytest.fixture(scope="module")
def detector_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The drawn detector in place of the published one."""
    path = tmp_path_factory.mktemp("detector") / "drawn.onnx"
    path.write_bytes(detector())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model_file, "SHA256", facts().sha256)
        yield path


def face(label: str, seed: int, dots: list[tuple[int, int]]) -> Image.Image:
    """A face; those of ``ai`` are dark on their left side."""
    image = drawn(*dots, seed=seed)
    if label == "ai":
        for x, y in dots:
            image.paste((20, 20, 30), (max(0, x - 30), y - 30, x - 10, y + 30))
    return image


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty images of each class: one in ten without a face, one in ten with two faces."""
    folder = tmp_path_factory.mktemp("faces") / "images"
    for c, label in enumerate(("ai", "real")):
        (folder / label).mkdir(parents=True)
        for i in range(40):
            dots = [(60 + i % 5 * 8, 60)]
            dots = [] if i % 10 == 9 else dots + [(140, 60)] * (i % 10 == 8)
            face(label, 1000 * c + i, dots).save(folder / label / f"{i:02}.png")
    return folder


@pytest.fixture(scope="module")
def made(images: Path, detector_file: Path, tiny: Settings, tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    return fv.train(
        images,
        tmp_path_factory.mktemp("made") / "model",
        recipe="scratch",
        size=24,
        epochs=3,
        gate="face",
        gate_model=detector_file,
        settings={**tiny, "split.near": -1, "calibration.target": 0.5, "calibration.floor": 0.5},
    )


@pytest.fixture
def model(made: Classifier, tmp_path: Path) -> Path:
    return Path(shutil.copytree(str(made.folder), tmp_path / "model"))


def test_the_folder_has_the_detector_and_the_card_what_it_does(made: Classifier, images: Path) -> None:
    assert made.folder is not None
    card = ModelCard.load(made.folder)
    assert (made.folder / DETECTOR).read_bytes() == detector()
    assert card.gate is not None
    assert card.files[DETECTOR] == card.gate.sha256 == facts().sha256
    assert card.preprocessing.face_margin == 0.3
    assert sum(n for classes in card.data.without_face.values() for n in classes.values()) == 8
    (said,) = [w for w in card.data.warnings if w.code == "images-without-face"]
    assert said.values == {"no_face": 8, "n": 80}
    assert set(pd.read_parquet(made.folder / "manifest.parquet")["face_gate"]) == {"pass", "no_face", "gate_unsure"}


def test_evaluation_counts_images_without_a_face_as_abstentions(made: Classifier, model: Path, images: Path) -> None:
    test = made.card.evaluation("test")
    assert test is not None
    report = fv.evaluate(model, images)
    assert (report.n, report.confusion, report.reasons) == (test.n, test.confusion, test.reasons)
    everything = fv.evaluate(model, images, split="all", save=False)
    assert everything.n == 80
    assert np.sum(everything.confusion) == 72
    assert everything.reasons["no_face"] == 8
    assert everything.reasons["gate_unsure"] == 8
    assert everything.abstained >= 16
    assert everything.coverage == pytest.approx(1 - everything.abstained / 80)
    assert "images-without-face" in {w.code for w in everything.warnings}
    answered = [p for p in fv.predict(model, images) if not p.abstained]
    assert len(answered) == 80 - everything.abstained
    right = sum(p.label == Path(str(p.path)).parent.name for p in answered)
    assert everything.accuracy_answered == pytest.approx(right / len(answered))


def test_without_torch_it_answers_the_same(made: Classifier, images: Path) -> None:
    paths = sorted(images.rglob("*.png"))[::7]
    for ours, theirs in zip(fv.open(str(made.folder)).predict(paths), made.predict(paths), strict=True):
        assert (ours.label, ours.reasons, ours.box) == (theirs.label, theirs.reasons, theirs.box)
        assert list(ours.probabilities.values()) == pytest.approx(list(theirs.probabilities.values()), abs=1e-4)


def test_attacks_are_on_the_crops(model: Path, images: Path) -> None:
    report = fv.attack(model, images, attacks=["fgsm"], eps=1 / 255, limit=6, save=False)
    assert report.n == 6
    certified = fv.certify(model, images, samples=50, limit=2, save=False)
    assert certified.n == 2
    corrupted = fv.evaluate_corruptions(model, images, limit=4, save=False)
    assert corrupted.n == 4


def test_heat_is_drawn_on_the_face(model: Path, images: Path, tmp_path: Path) -> None:
    paths = [images / "ai" / "00.png", images / "ai" / "09.png", images / "real" / "08.png"]
    explained = fv.explain(model, paths, tmp_path / "out")
    assert [one.box is not None for one in explained.images] == [True, True]
    assert [bad["reason"] for bad in explained.unreadable] == ["no face was found"]
    assert explained.to_dict()["images"][0]["box"] == [36, 28, 48, 64]
    with Image.open(explained.files[0]) as drawing:
        assert drawing.width > 2.9 * 288  # the crop, the heat on it, the whole image
    assert fv.explain(model, paths[:1]).images[0].heat.shape == (24, 24)  # type: ignore[union-attr]


def test_calibrating_finetuning_and_ensembles_keep_the_gate(
    model: Path, made: Classifier, images: Path, tmp_path: Path, detector_file: Path, tiny: Settings
) -> None:
    hard = tmp_path / "hard"
    for c, label in enumerate(("ai", "real")):
        (hard / label).mkdir(parents=True)
        for i in range(16):
            face(label, 5000 + 100 * c + i, [(80, 60)] if i else []).save(hard / label / f"{i}.png")
    assert fv.calibrate(model, hard, tmp_path / "calibrated").card.gate == made.card.gate
    tuned = fv.finetune(model, hard, tmp_path / "tuned")
    assert tuned.model.card.gate == made.card.gate
    assert (tmp_path / "tuned" / DETECTOR).is_file()
    (nothing,) = fv.open(tmp_path / "tuned").predict(hard / "ai" / "0.png")
    assert nothing.reasons == ("no_face",)
    both = fv.ensemble([model, tmp_path / "tuned"], tmp_path / "both")
    assert both.card.gate == made.card.gate
    assert fv.open(tmp_path / "both").predict(hard / "ai" / "0.png")[0].reasons == ("no_face",)
    assert fv.export(model, tmp_path / "x.onnx").label_agreement == 1


def test_members_need_one_gate(model: Path, made: Classifier) -> None:
    assert made.card.gate is not None
    other = made.changed(made.card.changed(gate=made.card.gate.changed(smallest=20), evidence=()))
    with pytest.raises(UsageError, match="members need the same face gate"):
        fv.ensemble([model, other])


def test_a_classifier_in_memory_has_its_gate_and_can_be_saved(
    images: Path, detector_file: Path, tiny: Settings, tmp_path: Path
) -> None:
    data = fv.ImageDataset.from_folder(images)
    settings = {**tiny, "split.near": -1, "gate.margin": 0.0, "gate.smallest": 20}
    classifier = fv.train(
        data, recipe="scratch", size=24, epochs=1, gate="face", gate_model=detector_file, settings=settings
    )
    assert classifier.gate is not None
    assert classifier.gate.facts.smallest == 20
    assert classifier.card.preprocessing.face_margin == 0
    assert classifier.predict(images / "ai" / "09.png")[0].reasons == ("no_face",)
    assert fv.evaluate(classifier, images, split="all").reasons["no_face"] == 8
    saved = classifier.save(tmp_path / "saved")
    assert fv.open(saved).predict(images / "ai" / "09.png")[0].reasons == ("no_face",)
    with pytest.raises(UsageError, match="`gate` is for model folders"):
        fv.predict(classifier, images, gate="none")


@pytest.mark.slow
def test_a_study_looks_for_faces_once(images: Path, detector_file: Path, tiny: Settings, tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    settings = {**tiny, "split.near": -1, "gate.kind": "face", "gate.model": str(detector_file)}
    found = fv.tune(images, tmp_path / "study", trials=1, size=24, epochs=1, settings=settings)
    assert found.figures["complete"] == 1
    table = pd.read_parquet(tmp_path / "study" / "manifest.parquet")
    assert (table["face_looked"] != "").all()


def test_wrong_use_is_said_before_the_work(
    images: Path, detector_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACEVALUE_CACHE", str(tmp_path / "cache"))
    with pytest.raises(UsageError, match="the face detector is not on this machine: run `facevalue data get yunet`"):
        fv.train(images, tmp_path / "model", recipe="scratch", gate="face")
    with pytest.raises(UsageError, match=r"absent\.onnx cannot be read"):
        fv.train(images, tmp_path / "model", recipe="scratch", gate="face", gate_model="absent.onnx")
    with pytest.raises(UsageError, match="Invalid enum value 'eyes'"):
        fv.train(images, tmp_path / "model", recipe="scratch", gate="eyes")
    with pytest.raises(UsageError, match="sure"):
        fv.train(images, tmp_path / "model", recipe="scratch", settings={"gate.sure": 0.2})
    things = tmp_path / "things"
    for i in range(12):
        for label, dots in (("face", [(80, 60)]), ("thing", [])):
            (things / label).mkdir(parents=True, exist_ok=True)
            drawn(*dots, seed=i).save(things / label / f"{i}.png")
    with pytest.raises(DataError, match="images of thing; a face gate is for classes of faces, so set `gate` to none"):
        fv.train(things, tmp_path / "model", recipe="scratch", gate="face", gate_model=detector_file)
    assert not (tmp_path / "model").exists()


def test_the_augmentation_sheet_shows_crops(images: Path, detector_file: Path, tmp_path: Path) -> None:
    settings = {"augment.flip": True, "gate.kind": "face", "gate.model": str(detector_file)}
    drawn_sheet = fv.augment_data(images, tmp_path / "sheet.png", rows=2, epochs=1, settings=settings)
    assert drawn_sheet.file.is_file()


def test_recipes_about_faces_look_for_faces() -> None:
    from facevalue.training.recipe import built_in, read

    for name in built_in():
        recipe = read(name)
        assert (recipe.gate.kind == "face") == name.startswith("real-or-ai/"), name
        assert recipe.preprocessing().face_margin == (0.3 if name.startswith("real-or-ai/") else None)


def test_the_json_of_a_prediction_is_plain(made: Classifier, images: Path) -> None:
    (prediction,) = made.predict(images / "ai" / "00.png")
    assert json.loads(json.dumps(prediction.to_dict()))["box"] == [36, 28, 48, 64]


def test_the_report_says_that_it_answers_for_faces_only(made: Classifier) -> None:
    assert made.folder is not None
    page = (made.folder / "report.html").read_text(encoding="utf-8")
    assert "It answers for faces only." in page
    assert "cropped with a margin of 30" in page


def test_an_export_has_the_detector_beside_it(model: Path, tmp_path: Path, notes: list[str]) -> None:
    import onnx

    fv.export(model, tmp_path / "face.onnx")
    assert (tmp_path / "face.face_detector.onnx").read_bytes() == detector()
    assert any("export-takes-faces" in note for note in notes)
    props = {p.key: p.value for p in onnx.load(tmp_path / "face.onnx").metadata_props}
    assert json.loads(props["gate"])["sha256"] == facts().sha256
    assert json.loads(props["preprocessing"])["face_margin"] == 0.3
