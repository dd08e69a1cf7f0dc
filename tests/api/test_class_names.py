"""Images in folders with other names than the model's classes: mapped by ``classes``, in every verb."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

import facevalue as fv
from facevalue.cli import calibrate, evaluate
from facevalue.cli.common.parsing import classes_of
from facevalue.data.class_names import scanned_for
from facevalue.errors import DataError, UsageError
from facevalue.models.classifier import Classifier

NAMES = {"men": "face", "women": "face", "things": "not-face"}


@pytest.fixture(scope="module")
def others(lfw: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded images, with the faces in two folders."""
    folder = tmp_path_factory.mktemp("others")
    for i, path in enumerate(sorted(lfw.rglob("*.png"))):
        label = "things" if path.parent.name == "not-face" else ("men", "women")[i % 2]
        (folder / label).mkdir(exist_ok=True)
        shutil.copyfile(path, folder / label / path.name)
    return folder


VERBS: dict[str, Callable[[Classifier, Path, dict[str, str] | None], object]] = {
    "evaluate": lambda model, data, names: fv.evaluate(model, data, classes=names),
    "corruptions": lambda model, data, names: fv.evaluate_corruptions(model, data, classes=names, limit=4),
    "certify": lambda model, data, names: fv.certify(model, data, classes=names, limit=2, samples=10),
    "attack": lambda model, data, names: fv.attack(model, data, classes=names, limit=4),
    "calibrate": lambda model, data, names: fv.calibrate(model, data, classes=names),
    "export": lambda model, data, names: fv.export(model, data.parent / "m.onnx", images=data, classes=names),
}


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_with_labels_takes_other_names(verb: str, made: Classifier, others: Path) -> None:
    with pytest.raises(DataError, match=r"the model knows face, not-face; .* has men, .*; name them .* `classes`"):
        VERBS[verb](made, others, None)
    VERBS[verb](made, others, NAMES)


def test_the_figures_are_those_of_the_folder_with_the_models_names(made: Classifier, others: Path, lfw: Path) -> None:
    mapped, plain = fv.evaluate(made, others, classes=NAMES), fv.evaluate(made, lfw)
    assert mapped.confusion == plain.confusion
    assert mapped.provenance.fingerprint == plain.provenance.fingerprint  # its own test images are recognised
    assert mapped.split == plain.split == "test"


def test_hard_images_take_other_names(made: Classifier, others: Path, tmp_path: Path) -> None:
    from PIL import Image

    for path in sorted(others.rglob("*.png"))[::3]:
        place = tmp_path / "hard" / path.parent.name / path.name
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.open(path).point(lambda value: value // 2).rotate(90).save(place)
    with pytest.raises(DataError, match="name them for the model with `classes`"):
        fv.finetune(made, tmp_path / "hard")
    result = fv.finetune(made, tmp_path / "hard", classes=NAMES)
    assert set(result.evaluations["hard_after"].recall) == {"face", "not-face"}


@pytest.mark.parametrize(
    ("names", "wrong"),
    [
        ({"men": "face", "woman": "face"}, "has no class 'woman'"),
        ({"men": "human"}, "the model has no class 'human'"),
    ],
)
def test_unknown_names_are_refused_with_both_lists(
    names: dict[str, str], wrong: str, made: Classifier, others: Path
) -> None:
    with pytest.raises(UsageError, match=wrong) as told:
        fv.evaluate(made, others, classes=names)
    assert f"the classes of {others} are men, things, women" in str(told.value)
    assert "those of the model are face, not-face" in str(told.value)


def test_tables_and_arrays_take_other_names_and_the_others_stay(others: Path, made: Classifier) -> None:
    files = sorted(others.rglob("*.png"))[::7]
    labels = [{"things": "not-face"}.get(path.parent.name, path.parent.name + " ") for path in files]
    table = pd.DataFrame({"path": list(map(str, files)), "label": labels})
    found = scanned_for(table, made.classes, {"men ": "face", "women": "face"})  # blanks make no other name
    assert found.classes == ("face", "not-face")
    data = fv.ImageDataset.from_dataframe(table)
    assert fv.evaluate(made, data, split="all", classes={"men": "face", "women": "face"}).n == len(files)


def test_names_as_typed(
    made: Classifier, others: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert classes_of(["men=face,women=face", " things = not-face"]) == NAMES
    assert classes_of([]) is None
    for wrong in (["men"], ["=face"], ["men="], ["men=face,men=object"], [""]):
        with pytest.raises(UsageError, match="--classes"):
            classes_of(wrong)
    monkeypatch.chdir(tmp_path)
    evaluate.run(made.folder, others, classes=["men=face,women=face,things=not-face"], save=False, json=Path("e.json"))
    assert json.loads(Path("e.json").read_text())["classes"] == ["face", "not-face"]
    calibrate.run(made.folder, others, Path("new"), classes=["men=face,women=face,things=not-face"])
    assert fv.open("new").card.classes == ("face", "not-face")
    assert "temperature" in capsys.readouterr().out
