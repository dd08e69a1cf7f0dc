"""Everything in memory: images, data and models in any form, and no folder touched."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

import facevalue as fv
from facevalue.errors import DataError, UsageError

TINY = {"network.options": {"widths": [8, 16]}, "fit.patience": 0}


@pytest.fixture(scope="module")
def arrays(lfw: Path) -> tuple[NDArray[np.uint8], list[str]]:
    files = sorted(lfw.rglob("*.png"))
    return np.stack([np.asarray(Image.open(file).convert("RGB")) for file in files]), [f.parent.name for f in files]


@pytest.fixture(scope="module")
def data(arrays: tuple[NDArray[np.uint8], list[str]]) -> fv.ImageDataset:
    return fv.ImageDataset.from_arrays(*arrays)


@pytest.fixture(scope="module")
def model(data: fv.ImageDataset) -> fv.Classifier:
    return fv.train(data, recipe="scratch", size=24, epochs=4, settings=TINY)


def test_in_memory_nothing_is_written(data: fv.ImageDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FACEVALUE_CACHE", str(tmp_path / "cache"))
    model = fv.train(data, recipe="scratch", size=24, epochs=2, settings=TINY)
    test = model.card.evaluation("test")
    assert test is not None
    assert test.n == fv.evaluate(model, data).n  # its own test images, recognised by their pixels
    attacked = fv.attack(model, data, attacks=[fv.attacks.PGD(steps=3), "fgsm"], eps=[4 / 255], limit=8)
    assert [row.attack for row in attacked.results] == ["pgd(steps=3)", "fgsm"]
    assert len(fv.predict(model, data.images[0])) == 1
    assert fv.evaluate_corruptions(model, data, limit=4).n == 4
    assert fv.certify(model, data, limit=2, samples=20).n == 2
    assert fv.explain(model, [data.images[0]], method=fv.explanations.GradCam()).images[0].heat.shape == (24, 24)
    assert fv.compare([model]).models[0].milliseconds is None
    fv.scan_data(data)
    assert list(tmp_path.iterdir()) == []


def test_trained_on_arrays_or_on_the_files_it_is_the_same_model(
    model: fv.Classifier, arrays: tuple[NDArray[np.uint8], list[str]], lfw: Path
) -> None:
    files = sorted(lfw.rglob("*.png"))
    table = pd.DataFrame({"path": [str(f) for f in files], "label": arrays[1], "group": [str(i) for i in range(200)]})
    by_table = fv.train(table, recipe="scratch", size=24, epochs=4, settings=TINY, groups="group")
    by_dataset = fv.train(
        fv.ImageDataset.from_arrays(*arrays, groups=range(200)),
        recipe="scratch",
        size=24,
        epochs=4,
        settings=TINY,
        groups="group",
    )
    assert torch.equal(by_table.body.head.weight, by_dataset.body.head.weight)
    assert by_table.card.temperature == by_dataset.card.temperature


def test_an_image_in_any_form_has_one_answer(model: fv.Classifier, lfw: Path) -> None:
    path = lfw / "face" / "face-000.png"
    array = np.asarray(Image.open(path))  # grey
    forms = [path, str(path), path.read_bytes(), Image.open(path), array, np.repeat(array[..., None], 3, 2)]
    rows = model.predict_proba(forms)
    assert rows.shape == (6, 2)
    assert np.allclose(rows.sum(1), 1)
    assert all(np.array_equal(row, rows[0]) for row in rows)
    assert [p.path for p in model.predict(forms[:3])] == [str(path), str(path), None]
    many = np.stack([np.repeat(array[..., None], 3, 2)] * 3)
    assert len(model.predict(many)) == 3
    assert np.array_equal(model.predict_proba(np.stack([array] * 3)), model.predict_proba(many))  # n grey images
    with pytest.raises(UsageError, match=r"but got uint8 \(25, 25, 4\)"):
        model.predict(np.zeros((25, 25, 4), np.uint8))


def test_a_photograph_turned_by_exif_is_upright_in_memory_too(model: fv.Classifier, lfw: Path) -> None:
    turned = Image.open(lfw / "face" / "face-000.png").convert("RGB").resize((60, 40))
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    turned.save(buffer, "PNG", exif=exif)
    opened = Image.open(io.BytesIO(buffer.getvalue()))
    assert np.array_equal(model.predict_proba(buffer.getvalue()), model.predict_proba(opened))
    assert opened.size == (60, 40)  # the caller's image stays as it is


def test_memory_and_folder_give_the_same_predictions(model: fv.Classifier, lfw: Path, tmp_path: Path) -> None:
    folder = model.save(tmp_path / "model")
    images = sorted((lfw / "face").iterdir())[:5]
    assert np.allclose(fv.open(folder).predict_proba(images), model.predict_proba(images), atol=1e-5)
    again = fv.load(folder)
    assert again.folder == folder
    assert again.origin is not None
    assert again.origin.manifest.fingerprint() == model.origin.manifest.fingerprint()  # type: ignore[union-attr]
    with pytest.raises(UsageError, match="is already a model folder"):
        model.save(folder)
    assert [p.label for p in fv.predict(folder, images)] == [p.label for p in fv.predict(model, images)]
    heat = fv.open(folder).predict(images[0], heat=True)[0].heat
    assert np.allclose(model.predict(images[0], heat=True)[0].heat, heat, atol=1e-3)


def test_a_change_gives_a_new_model_in_memory(model: fv.Classifier, data: fv.ImageDataset) -> None:
    before = model.card
    other = fv.calibrate(model, data)
    assert other is not model
    assert model.card is before
    assert [type(one).__name__ for one in other.card.evidence] == ["CalibrationReport"]
    negatives = [255 - image for image in data.images]
    hard = fv.ImageDataset.from_arrays(negatives, [data.classes[label] for label in data.labels])
    result = fv.finetune(model, hard)
    assert result.model.folder is None
    assert result.to_dict()["hard_after"]["n"] == 60
    twins = [model, fv.train(data, recipe="scratch", size=24, epochs=1, seed=1, settings=TINY)]
    together = fv.ensemble(twins)
    assert together.card.recipe["members"][0]["model"] == "model 1"
    assert together.predict_proba(data.images[0]).shape == (1, 2)


def test_a_data_loader_reads_what_the_classifier_takes(model: fv.Classifier, data: fv.ImageDataset) -> None:
    loader = torch.utils.data.DataLoader(data.with_preprocessing(model.card.preprocessing), batch_size=16)
    x, y = next(iter(loader))
    assert (x.shape, x.dtype, y.dtype) == ((16, 3, 24, 24), torch.float32, torch.int64)
    assert 0 <= x.min() <= x.max() <= 1
    assert model.logits(x).shape == (16, 2)


class Pairs(torch.utils.data.Dataset):
    classes = ("face", "not-face")

    def __init__(self, arrays: NDArray[np.uint8], labels: list[str], scale: float = 255.0) -> None:
        self.arrays, self.labels, self.scale = arrays, labels, scale

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        x = torch.from_numpy(self.arrays[i]).permute(2, 0, 1).float() / self.scale
        return x, self.classes.index(self.labels[i])


def test_a_torch_dataset_is_the_same_data(arrays: tuple[NDArray[np.uint8], list[str]], data: fv.ImageDataset) -> None:
    found = fv.ImageDataset.from_torch(Pairs(*arrays))
    assert found.classes == data.classes
    assert found.fingerprint == data.fingerprint
    with pytest.raises(UsageError, match=r"in \[0, 1\], but item 0 holds values from"):
        fv.ImageDataset.from_torch(Pairs(*arrays, scale=1.0))


def test_a_split_of_a_folder_is_the_one_that_train_makes(lfw: Path) -> None:
    model = fv.train(lfw, recipe="scratch", size=24, epochs=1, settings={**TINY, "split.validation": 0.1})
    test = fv.ImageDataset.from_folder(lfw, split="test")
    assert model.card.recipe["split"]["test"] == 0.2
    known = model.origin.manifest.rows("test")["sha256"]  # type: ignore[union-attr]
    assert set(test.rows["sha256"]) == set(known)
    with pytest.raises(UsageError, match="has no split 'exam'"):
        fv.ImageDataset.from_folder(lfw, split="exam")


def test_notebooks_show_results(model: fv.Classifier, data: fv.ImageDataset) -> None:
    report = fv.evaluate(model, data)
    assert "<td>accuracy</td>" in report._repr_html_()
    assert list(report.to_frame().columns) == ["label", "face", "not-face"]
    attacked = fv.attack(model, data, eps=[1 / 255], limit=4)
    assert attacked.to_frame()["attack"].tolist() == ["fgsm"]
    assert "fgsm" in attacked._repr_html_()
    assert "face" in model.predict(data.images[0])[0]._repr_html_()


def test_wrong_forms_are_named(model: fv.Classifier, lfw: Path) -> None:
    with pytest.raises(UsageError, match=r"uint8 array .*, but got float64 \(4, 4, 3\)"):
        model.predict(np.zeros((4, 4, 3)))
    with pytest.raises(UsageError, match="uint8 array, but got int"):
        model.predict([3])  # type: ignore[list-item]
    with pytest.raises(DataError, match=r"cannot be read.*no probabilities"):
        model.predict_proba([lfw / "gone.png"])
    assert model.predict([lfw / "gone.png"])[0].error is not None
    with pytest.raises(UsageError, match="Expected a model as a Classifier or a model folder, but got int"):
        fv.evaluate(3, lfw)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="one label per image, but got 1 labels for 2 images"):
        fv.ImageDataset.from_arrays(np.zeros((2, 4, 4, 3), np.uint8), ["a"])
    with pytest.raises(UsageError, match="labels are indices"):
        fv.ImageDataset.from_arrays(np.zeros((2, 4, 4, 3), np.uint8), [0, 1])
    with pytest.raises(UsageError, match="lacks the column 'label'"):
        fv.ImageDataset.from_dataframe(pd.DataFrame({"path": ["a.png"]}))
    with pytest.raises(UsageError, match="name that `output`"):
        fv.train(lfw, resume=True)


def test_splits_go_by_their_usual_names_and_are_all_or_none(arrays: tuple[NDArray[np.uint8], list[str]]) -> None:
    data = fv.ImageDataset.from_arrays(*arrays, splits=["train", "val", "calib", "test"] * 50)
    assert set(data.rows["split"]) == {"train", "validation", "calibration", "test"}
    with pytest.raises(UsageError, match="but got 'Banana'"):
        fv.ImageDataset.from_arrays(*arrays, splits=["train", "Banana"] * 100)
    with pytest.raises(UsageError, match="100 of 200 images have no split"):
        fv.ImageDataset.from_arrays(*arrays, splits=["train", ""] * 100)
    with pytest.raises(UsageError, match="all different"):
        fv.ImageDataset.from_arrays(arrays[0], [0] * 200, classes=["a", "b", "a"])


def test_the_order_of_classes_is_the_datasets(arrays: tuple[NDArray[np.uint8], list[str]]) -> None:
    data = fv.ImageDataset.from_arrays(*arrays, classes=["not-face", "face"])
    model = fv.train(data, recipe="scratch", size=24, epochs=4, settings=TINY)
    assert model.classes == ("not-face", "face")
    assert (model.predict_proba(arrays[0]).argmax(1) == data.labels).mean() > 0.6
    with pytest.raises(DataError, match="class 'ghost' has no readable image"):
        fv.train(fv.ImageDataset.from_arrays(*arrays, classes=["face", "ghost", "not-face"]), recipe="scratch", size=24)


def test_the_same_images_in_another_form_are_recognised(model: fv.Classifier, data: fv.ImageDataset, lfw: Path) -> None:
    by_files = fv.train(lfw, recipe="scratch", size=24, epochs=1, settings=TINY)
    assert fv.evaluate(by_files, data).n == by_files.card.evaluation("test").n  # type: ignore[union-attr]
    assert fv.evaluate(model, lfw).n == model.card.evaluation("test").n  # type: ignore[union-attr]
    some = data.take(np.array([label == 0 for label in data.labels]))
    assert len(some) == 100
    assert [f.code for f in fv.evaluate(by_files, some).warnings].count("images-seen-in-training") == 1
    assert fv.calibrate(model, lfw).card.abstention.n == fv.calibrate(model, data).card.abstention.n
    with pytest.raises(UsageError, match="some members were trained on files and others on images in memory"):
        fv.ensemble([model, by_files])


def test_a_table_keeps_its_order(lfw: Path) -> None:
    files = sorted(lfw.rglob("*.png"))
    table = pd.DataFrame({"path": files, "label": [f.parent.name for f in files]}).sample(frac=1, random_state=1)
    data = fv.ImageDataset.from_dataframe(table)
    assert [data.classes[label] for label in data.labels] == list(table["label"])
    assert list(data.images) == list(table["path"])


def test_an_empty_group_is_no_group(arrays: tuple[NDArray[np.uint8], list[str]]) -> None:
    data = fv.ImageDataset.from_arrays(*arrays, groups=[None, float("nan"), "a", 3] * 50)
    assert list(data.rows["group"])[:4] == ["", "", "a", "3"]


def test_a_callers_buffer_is_copied(arrays: tuple[NDArray[np.uint8], list[str]]) -> None:
    buffer = arrays[0].copy()
    data = fv.ImageDataset.from_arrays(buffer, arrays[1])
    before = data.fingerprint
    buffer[:] = 0
    assert data.fingerprint == before


def test_figures_of_other_weights_are_not_saved(model: fv.Classifier, tmp_path: Path) -> None:
    changed = model.changed()
    with torch.no_grad():
        changed.body.head.weight.zero_()
    with pytest.raises(UsageError, match="weights were changed after the evaluations"):
        changed.save(tmp_path / "model")
    assert not (tmp_path / "model").exists()
    assert changed.changed(changed.card.changed(evidence=())).save(tmp_path / "model").is_dir()


def test_arguments_of_other_types_are_one_line(model: fv.Classifier, data: fv.ImageDataset, lfw: Path) -> None:
    for wrong in (None, 3, {}, [str(lfw)]):
        with pytest.raises(UsageError, match="Expected data as a folder"):
            fv.evaluate(model, wrong)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="at least one image"):
        fv.ImageDataset.from_arrays([], [])
    with pytest.raises(UsageError, match="Expected eps as numbers"):
        fv.attack(model, data, eps=["4/255"])  # type: ignore[list-item]
    with pytest.raises(UsageError, match=r"configured, such as PGD\(steps=50\)"):
        fv.attack(model, data, attacks=[fv.attacks.PGD])  # type: ignore[list-item]
    assert fv.attack(model, data, attacks=fv.attacks.FGSM(), eps=1 / 255, limit=4).n == 4
    with pytest.raises(UsageError, match="give its column of paths"):
        model.predict(pd.DataFrame({"path": ["a.png"]}))
