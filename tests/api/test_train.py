"""Training writes a complete model folder, and reports data that it cannot train on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import facevalue as fv
from facevalue.data.manifest import SPLITS
from facevalue.data.prepare import Preparation, prepare
from facevalue.data.training_data import learned_manifest
from facevalue.errors import DataError, FaceValueError, ModelFolderError, UsageError, WeightsError
from facevalue.evidence.card import ModelCard
from facevalue.evidence.records import Evaluation, ExportReport
from facevalue.evidence.summary import TrainSummary
from facevalue.models.classifier import Classifier, load
from facevalue.models.features import Features, to_tensor
from facevalue.runtime import open_folder
from facevalue.support import progress
from facevalue.training import refit
from facevalue.training.augmentation import augment
from facevalue.training.settings import AugmentSettings

from ..training.stopping import StopAfter


def test_the_folder_has_every_documented_file(made: Classifier) -> None:
    names = {p.name for p in made.folder.iterdir()}
    assert names == {
        "card.json",
        "weights.safetensors",
        "model.onnx",
        "history.jsonl",
        "report.html",
        "manifest.parquet",
        "canaries.zip",
        "outputs.parquet",
        "README.md",
        "bom.cdx.json",
    }
    card = ModelCard.load(made.folder)
    for name in names - {"card.json", "report.html"}:
        card.checked_file(made.folder, name)
    assert card.classes == ("face", "not-face")
    assert (card.positive, card.provenance.seed, card.preprocessing.size) == ("not-face", 0, 24)
    assert card.recipe["fit"]["epochs"] == 6
    assert card.temperature != 1.0
    assert card.abstention.n == sum(card.data.counts["calibration"].values())
    assert card.abstention.novelty is not None
    assert len((made.folder / "history.jsonl").read_text().splitlines()) == 6
    assert not made.folder.with_name("model.training").exists()
    assert oct(made.folder.stat().st_mode)[-3:] == "755"


def test_the_figures_have_the_documented_keys(made: Classifier) -> None:
    figures = TrainSummary.of(made.card).to_dict()
    assert {"test", "validation", "train", "parameters", "seconds", "seconds_per_epoch", "temperature"} <= set(figures)
    assert {"network", "seed"} <= set(figures)
    keys = "n classes accuracy accuracy_ci balanced_accuracy auroc average_precision ece brier nll confusion abstained"
    assert {*keys.split(), "coverage"} <= set(figures["test"])
    assert figures["test"]["n"] == sum(made.card.data.counts["test"].values())
    json.dumps(figures, allow_nan=False)
    assert figures["test"]["accuracy"] > 0.8  # faces and walls: a net this small sees the difference


def test_parity_was_measured_from_file_bytes(made: Classifier) -> None:
    [exported] = made.card.of_kind(ExportReport)
    assert exported.label_agreement == 1
    assert exported.max_probability_difference < 1e-4
    assert exported.n > 20


def test_no_group_crosses_and_every_split_has_every_class(made: Classifier) -> None:
    table = pd.read_parquet(made.folder / "manifest.parquet")
    assert set(table["split"]) == set(SPLITS)
    assert (table.groupby("group")["split"].nunique() == 1).all()
    assert (table.groupby("split")["label"].nunique() == 2).all()


def test_the_runtime_predicts_what_the_classifier_predicts(made: Classifier, lfw: Path) -> None:
    files = sorted((lfw / "face").iterdir())[:7]
    classifier = load(made.folder)
    pixels = np.stack([classifier.card.preprocessing.read(f.read_bytes()) for f in files])
    with torch.inference_mode():
        p = classifier.probabilities(torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255).numpy()
    for row, prediction in zip(p, open_folder(made.folder).predict(files), strict=True):
        assert prediction.probabilities["face"] == pytest.approx(float(row[0]), abs=1e-5)


def test_an_existing_folder_is_not_touched(made: Classifier, lfw: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is already a model folder"):
        fv.train(lfw, made.folder, recipe="scratch")
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(UsageError, match="is not a model folder"):
        fv.train(lfw, tmp_path, recipe="scratch", overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == ["precious.txt"]


def test_the_same_seed_gives_the_same_model(
    tiny: dict[str, object], made: Classifier, lfw: Path, tmp_path: Path
) -> None:
    again = fv.train(lfw, tmp_path / "m", recipe="scratch", size=24, epochs=6, settings=tiny)
    assert again.card.provenance.fingerprint == made.card.provenance.fingerprint
    first, second = (load_file(m.folder / "weights.safetensors") for m in (made, again))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_probe_and_finetune_start_from_a_file(
    tiny: dict[str, object], made: Classifier, lfw: Path, tmp_path: Path
) -> None:
    weights = str(made.folder / "weights.safetensors")
    same = {"network": "small-resnet", "weights": weights, "size": 24}
    options = {"network.options": tiny["network.options"]}
    probe = fv.train(lfw, tmp_path / "probe", recipe="probe", settings=options, **same)
    before, after = load_file(weights), load_file(probe.folder / "weights.safetensors")
    for name in before:
        if name.startswith("body.") and not name.startswith("body.head."):
            assert torch.equal(before[name], after[name]), name
    assert not torch.equal(before["body.head.weight"], after["body.head.weight"])
    tuned = fv.train(lfw, tmp_path / "tuned", recipe="finetune", epochs=1, settings=options, **same)
    phases = [json.loads(line)["phase"] for line in (tuned.folder / "history.jsonl").read_text().splitlines()]
    assert phases == ["probe"] * 6 + ["fit"]
    assert tuned.card.network.weights_sha256 == probe.card.network.weights_sha256 is not None


PROBE: dict[str, Any] = {"network.options": {"widths": [8, 16]}, "network.weights": "none"}


@pytest.fixture(scope="module")
def probes(lfw: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Classifier]:
    """A probe that was fitted once, and one that was then refitted."""
    folder = tmp_path_factory.mktemp("probes")
    return [
        fv.train(lfw, folder / name, recipe="probe", network="small-resnet", size=24, settings=PROBE | {"refit": refit})
        for name, refit in (("once", False), ("again", True))
    ]


def test_a_probe_learns_from_changed_copies_too(lfw: Path, probes: list[Classifier], tmp_path: Path) -> None:
    changes = PROBE | {"probe.copies": 2, "augment.brightness": 0.5, "augment.jpeg": 30}
    made, again = (
        fv.train(lfw, tmp_path / name, recipe="probe", network="small-resnet", size=24, settings=changes)
        for name in ("made", "again")
    )
    plain, more = probes[0].card, made.card
    assert plain.provenance.fingerprint == more.provenance.fingerprint
    assert plain.evaluation("test").n == more.evaluation("test").n  # type: ignore[union-attr]
    heads = [load_file(one.folder / "weights.safetensors")["body.head.weight"] for one in (probes[0], made)]
    assert not torch.allclose(*heads)
    assert again.card.files["weights.safetensors"] == more.files["weights.safetensors"]


def test_copy_consistency_brings_predictions_on_corrupted_and_clean_images_closer(lfw: Path, tmp_path: Path) -> None:
    """Against the same head without it, on test images and corrupted copies of them."""
    changes: dict[str, Any] = {
        "network.options": {"widths": [8, 16]},
        "network.weights": "none",
        "probe.loss": "squared",
        "probe.strengths": [10.0],
    }
    more = {
        "probe.copies": 1.5,
        "probe.copy_consistency": 3.0,
        "augment.brightness": 0.6,
        "augment.jpeg": 20,
        "refit": True,
    }
    models = [
        fv.train(lfw, tmp_path / name, recipe="probe", network="small-resnet", size=24, settings=changes | given)
        for name, given in (("plain", {}), ("consistent", more))
    ]
    table = pd.read_parquet(models[0].folder / "manifest.parquet")
    files = table["path"][table["split"] == "test"]
    clean = np.stack([models[0].card.preprocessing.read(Path(file).read_bytes()) for file in files])
    corrupted = augment(clean, AugmentSettings(brightness=0.6, jpeg=20), 7, 0, np.arange(len(clean)))
    moved = []
    for model in models:
        classifier = load(model.folder)
        with torch.inference_mode():
            before, after = (classifier.logits(x) for x in (to_tensor(clean), corrupted))
        moved.append(float((after - before).abs().mean() / before.std()))
    assert moved[1] < 0.7 * moved[0]
    assert models[1].card.evaluation("test").accuracy > 0.6  # type: ignore[union-attr]
    for wrong, said in (
        ({"probe.copy_consistency": 0.1}, "copy_consistency to be 0 without probe.copies"),
        (
            {"probe.copy_consistency": 0.1, "probe.copies": 1, "probe.loss": "logistic"},
            "copy_consistency to be 0 where the loss is logistic",
        ),
    ):
        with pytest.raises(UsageError, match=said):
            fv.train(lfw, tmp_path / "no", recipe="probe", settings=changes | wrong | {"augment.jpeg": 20})


def test_a_quarter_consistent_probe_learns_what_quarters_share(lfw: Path, tmp_path: Path) -> None:
    changes: dict[str, Any] = {
        "network.options": {"widths": [8, 16]},
        "network.weights": "none",
        "probe.loss": "squared",
    }
    made = [
        fv.train(
            lfw,
            tmp_path / f"{quarter_consistency}",
            recipe="probe",
            network="small-resnet",
            size=24,
            settings=changes | more,
        )
        for quarter_consistency, more in (
            (0, {}),
            (1, {"probe.quarter_consistency": 0.5, "probe.strengths": [1.0], "refit": True}),
        )
    ]
    heads = [load_file(result.folder / "weights.safetensors")["body.head.weight"] for result in made]
    assert not torch.allclose(*heads)
    assert made[1].card.evaluation("test").accuracy > 0.6  # type: ignore[union-attr]
    with pytest.raises(
        UsageError, match="quarter_consistency cannot be used with small-cnn at 24 pixels: its features depend on"
    ):
        flat = {
            "network.options": {"widths": [4], "dense": 8},
            "probe.loss": "squared",
            "probe.quarter_consistency": 0.5,
        }
        fv.train(lfw, tmp_path / "flat", recipe="probe", network="small-cnn", weights="none", size=24, settings=flat)
    assert not (tmp_path / "flat").exists()
    with pytest.raises(UsageError, match="quarter_consistency to be 0 where the loss is logistic"):
        fv.train(lfw, tmp_path / "flat", recipe="probe", settings={"probe.quarter_consistency": 0.5})


def test_a_network_trained_again_learns_from_all_but_test_and_goes_on_where_it_was_stopped(
    tiny: dict[str, object], made: Classifier, lfw: Path, tmp_path: Path
) -> None:
    def again(name: str, resume: bool = False) -> Classifier:
        changes = tiny | {"refit": True}
        return fv.train(lfw, tmp_path / name, recipe="scratch", size=24, epochs=6, settings=changes, resume=resume)

    whole = again("whole")
    stop = StopAfter(2, "training again on all splits except test")
    with progress.using(stop), pytest.raises(KeyboardInterrupt, match="run the same again to go on"):
        again("parts")
    parts = again("parts", resume=True)
    assert not (tmp_path / "parts.training").exists()
    ours, resumed, once = (load_file(r.folder / "weights.safetensors") for r in (whole, parts, made))
    assert all(torch.equal(ours[name], resumed[name]) for name in ours)
    # Another network with other features, whose distances are from its own training images.
    score = [name for name in ours if name.startswith("novelty_score.")]
    assert score == [name for name in once if name.startswith("novelty_score.")]
    assert any(not torch.allclose(ours[name], once[name]) for name in score)
    assert not torch.allclose(ours["body.head.weight"], once["body.head.weight"])
    card = whole.card
    assert (card.temperature, card.abstention) == (made.card.temperature, made.card.abstention)
    assert card.abstention.novelty is not None
    for split, same in {"validation": True, "calibration": True, "train": False, "test": False}.items():
        after, before = card.evaluation(split), made.card.evaluation(split)
        assert after is not None
        assert before is not None
        assert after.n == before.n
        assert (after.nll == before.nll) == same, split
    # With limits fitted before the refit, it answers most images that it has not seen.
    test = card.evaluation("test")
    assert test is not None
    assert test.accuracy > 0.8
    assert test.coverage > 0.7
    assert "refitted on all three splits" in (whole.folder / "report.html").read_text()
    for split in ("validation", "calibration"):
        told = card.evaluation(split)
        assert told is not None
        assert "figures-before-refit" in {warning.code for warning in told.warnings}
    assert not {"figures-before-refit", "refit-fits-worse"} & {warning.code for warning in test.warnings}
    with pytest.raises(UsageError, match="refit to be false with adversarial training"):
        fv.train(lfw, tmp_path / "no", recipe="scratch", adversarial="pgd", settings={"refit": True})


def test_a_refit_that_fits_worse_is_a_warning(lfw: Path, tmp_path: Path) -> None:
    changes = {"refit": True, "network.name": "small-cnn", "network.options": {"widths": [8, 16], "dense": 32}}
    changes |= {"optimizer.name": "sgd", "schedule.warmup_epochs": 0, "fit.batch_size": 128}
    with pytest.raises(FaceValueError, match=r"second training \(refit\) ended with NaN or infinite logits"):
        fv.train(lfw, tmp_path / "nan", recipe="scratch", size=24, epochs=1, lr=1e6, settings=changes)
    assert not (tmp_path / "nan").exists()
    # The head is the identity, so that features are logits.
    head = torch.nn.Linear(2, 2, bias=False)
    head.weight.data = torch.eye(2)
    model = cast(Classifier, SimpleNamespace(body=SimpleNamespace(head=head)))
    outputs = [
        (model, Features(torch.eye(2)[(torch.arange(60) < right).long()], np.ones(60, np.int64))) for right in (55, 40)
    ]
    [warning] = refit.worse(*outputs)
    assert warning.code == "refit-fits-worse"
    assert "less accurate on its own training images (66.7 % instead of 91.7 %)" in warning.text
    assert refit.worse(*reversed(outputs)) == refit.worse(outputs[0], outputs[0]) == []


def test_images_of_the_training_are_recognised_from_other_folders(
    made: Classifier, probes: list[Classifier], lfw: Path, tmp_path: Path
) -> None:
    """Copied elsewhere, made anew by ``data prepare``, or as official splits."""
    again = probes[1]
    prepared = tmp_path / "prepared"
    prepare(lfw, prepared, Preparation(size=32, like=again.folder))
    for split in ("validation", "calibration"):
        with pytest.raises(DataError, match=f"was refitted on its {split} images"):
            fv.evaluate(again.folder, prepared, split=split)
    with pytest.raises(DataError, match="was refitted on its calibration images"):
        fv.calibrate(again.folder, prepared, tmp_path / "no")
    # One image of its training among new ones is a warning, as for a model that was trained once.
    for file in sorted(lfw.rglob("*.png"))[::4]:
        (tmp_path / "others" / "validation" / file.parent.name).mkdir(parents=True, exist_ok=True)
        with Image.open(file) as image:
            turned = image.transpose(Image.Transpose.ROTATE_90)
        turned.save(tmp_path / "others" / "validation" / file.parent.name / file.name)
    known = learned_manifest(again.origin.manifest, again.card).rows("train").iloc[0]
    shutil.copy(known["path"], tmp_path / "others" / "validation" / known["label"] / "known.png")
    told = fv.evaluate(again.folder, tmp_path / "others", split="validation", save=False)
    [seen] = [warning for warning in told.warnings if warning.code == "images-seen-in-training"]
    assert seen.values == {"seen": 2, "n": 51}
    told = fv.evaluate(made.folder, prepared, split="train", save=False)
    assert "images-seen-in-training" in {warning.code for warning in told.warnings}
    table = learned_manifest(again.origin.manifest, again.card).rows("train")
    for split, rows in {"train": table.iloc[::2], "test": table.iloc[1::2]}.items():
        for path, label in zip(rows["path"], rows["label"], strict=True):
            (tmp_path / "official" / split / label).mkdir(parents=True, exist_ok=True)
            shutil.copy(path, tmp_path / "official" / split / label)
    with pytest.raises(DataError, match="has test and train images and none for calibration"):
        fv.calibrate(made.folder, tmp_path / "official", tmp_path / "no")
    with pytest.raises(DataError, match="was trained on all"):
        fv.calibrate(again.folder, tmp_path / "official" / "test", tmp_path / "no")
    assert not (tmp_path / "no").exists()


def test_a_refitted_probe_learns_all_but_test_and_is_calibrated_by_the_head_before_the_refit(
    probes: list[Classifier], lfw: Path, tmp_path: Path
) -> None:
    made = probes
    once, again = (result.card for result in made)
    heads = [load_file(result.folder / "weights.safetensors")["body.head.weight"] for result in made]
    assert not torch.allclose(*heads)
    assert (again.temperature, again.abstention) == (once.temperature, once.abstention)
    for split in ("validation", "calibration"):
        ours, theirs = again.evaluation(split), once.evaluation(split)
        assert ours is not None
        assert theirs is not None
        assert (ours.n, ours.accuracy, ours.nll) == (theirs.n, theirs.accuracy, theirs.nll)
    assert again.evaluation("test").nll != once.evaluation("test").nll  # type: ignore[union-attr]
    # These images choose and calibrate nothing, and figures on them do not count as figures on new images.
    tables = [learned_manifest(result.origin.manifest, result.card).table for result in made]
    assert set(tables[0]["split"]) == {"train", "validation", "calibration", "test"}
    assert set(tables[1]["split"]) == {"train", "test"}
    assert (tables[0]["split"] == "test").equals(tables[1]["split"] == "test")
    with pytest.raises(DataError, match="was refitted on its calibration images"):
        fv.calibrate(made[1].folder, lfw, tmp_path / "calibrated")
    with pytest.raises(DataError, match="was refitted on its validation images"):
        fv.evaluate(made[1].folder, made[1].folder / "manifest.parquet", split="validation")
    fv.evaluate(made[1].folder, lfw, split="train")
    assert [r.split for r in ModelCard.load(made[1].folder).evidence if isinstance(r, Evaluation)].count("train") == 1
    assert "refitted on all three splits" in (made[1].folder / "report.html").read_text()
    assert "refitted on" not in (made[0].folder / "report.html").read_text()
    # Not to the last digit: few images are calibrated again with torch, and a training uses an engine.
    temperature = fv.calibrate(made[0].folder, lfw, tmp_path / "calibrated").card.temperature
    assert temperature == pytest.approx(once.temperature, rel=1e-5)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"augment.flip": True}, "probe.copies to be above 0 with augment"),
        ({"probe.copies": 1}, "0 without"),
        ({"probe.copies": 1, "augment.mixup": 0.2}, "mixup and cutmix to be 0"),
    ],
)
def test_settings_that_a_probe_does_not_use_are_refused(
    lfw: Path, tmp_path: Path, changes: dict[str, Any], told: str
) -> None:
    with pytest.raises(UsageError, match=told):
        fv.train(lfw, tmp_path / "model", recipe="probe", network="small-resnet", weights="none", settings=changes)


def test_weights_that_do_not_fit_are_listed(made: Classifier, lfw: Path, tmp_path: Path) -> None:
    out = tmp_path / "m"
    wide = {"network.options": {"widths": [12, 16]}}
    with pytest.raises(
        WeightsError,
        match=r"does not fit small-resnet: \d+ of another shape: .* \(8, 8, 3, 3\) instead of \(12, 12, 3, 3\), .*…",
    ):
        fv.train(
            lfw,
            out,
            recipe="probe",
            network="small-resnet",
            size=24,
            settings=wide,
            weights=str(made.folder / "weights.safetensors"),
        )
    save_file({"conv.weight": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match=r"\d+ missing: .*; 1 unknown: conv.weight"):
        fv.train(lfw, out, recipe="probe", network="small-resnet", weights=str(tmp_path / "other.safetensors"))
    torch.save({"state_dict": torch.nn.Linear(2, 2)}, tmp_path / "pickled.pth")
    with pytest.raises(WeightsError, match="runs no code from files"):
        fv.train(lfw, out, recipe="probe", network="small-resnet", weights=str(tmp_path / "pickled.pth"))
    (tmp_path / "broken.safetensors").write_bytes(b"\x00" * 40)
    with pytest.raises(WeightsError, match="cannot be read"):
        fv.train(lfw, out, recipe="probe", network="small-resnet", weights=str(tmp_path / "broken.safetensors"))
    with pytest.raises(WeightsError, match="no such file"):
        fv.train(lfw, out, recipe="probe", network="small-resnet", weights="nowhere.pth")
    with pytest.raises(WeightsError, match="no published weights"):
        fv.train(lfw, out, recipe="probe", network="small-resnet", weights="hub")
    assert not out.exists()


def copied(source: Path, target: Path, **counts: int) -> Path:
    for label, n in counts.items():
        (target / label).mkdir(parents=True)
        for file in sorted((source / label.replace("_", "-")).iterdir())[:n]:
            shutil.copy(file, target / label)
    return target


def test_folders_that_cannot_be_learned_from(lfw: Path, tmp_path: Path) -> None:
    out = tmp_path / "model"

    def refused(data: Path, error: type[Exception], told: str) -> None:
        with pytest.raises(error, match=told) as caught:
            fv.train(data, out, recipe="scratch", epochs=1)
        assert "\n" not in str(caught.value)
        assert not out.exists()
        assert not list(tmp_path.glob(".model*"))

    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", DataError, "has no labelled images")
    refused(tmp_path / "nowhere", UsageError, "does not exist")
    refused(copied(lfw, tmp_path / "one", face=9), DataError, "has only one class")
    refused(
        copied(lfw, tmp_path / "single", face=9, not_face=1), DataError, "has 1 readable image in 1 independent group"
    )
    broken = copied(lfw, tmp_path / "broken", face=9, not_face=9)
    for file in (broken / "not_face").iterdir():
        file.write_bytes(b"no image")
    refused(broken, DataError, "no image of class 'not_face' .* can be read")
    refused(lfw / "face" / "face-000.png", UsageError, "neither a folder nor a manifest")


def test_files_that_cannot_be_read_are_named_counted_and_left_out(
    tiny: dict[str, object], lfw: Path, tmp_path: Path
) -> None:
    data = copied(lfw, tmp_path / "data", face=30, not_face=30)
    (data / "face" / "text.jpg").write_text("no image")
    whole = (data / "face" / "face-000.png").read_bytes()
    (data / "not_face" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (data / "face" / "notes.txt").write_text("not even called one")
    wide = Image.new("1", (20_000, 20_000))
    wide.save(data / "face" / "huge.png")
    Image.new("RGB", (1, 1)).save(data / "face" / "dot.png")
    made = fv.train(data, tmp_path / "m", recipe="scratch", size=24, epochs=1, settings=tiny)
    bad = {Path(entry["path"]).name: entry["reason"] for entry in made.card.data.unreadable}
    assert set(bad) == {"text.jpg", "cut.png", "huge.png"}
    assert "truncated" in bad["cut.png"]
    assert "pixels allowed" in bad["huge.png"]
    assert sum(sum(c.values()) for c in made.card.data.counts.values()) == 61  # the dot is an image


def test_a_manifest_with_splits_and_groups_is_followed(tiny: dict[str, object], lfw: Path, tmp_path: Path) -> None:
    rows = []
    for label in ("face", "not-face"):
        for i, file in enumerate(sorted((lfw / label).iterdir())):
            split = ("train", "train", "train", "validation", "calibration", "test")[i % 6]
            rows.append({"path": str(file), "label": label, "split": split, "camera": f"c{i % 6}"})
    manifest = tmp_path / "images.csv"
    pd.DataFrame(rows).to_csv(manifest, index=False)
    made = fv.train(manifest, tmp_path / "m", recipe="scratch", size=24, epochs=1, groups="camera", settings=tiny)
    assert made.card.data.counts["test"] == {"face": 16, "not-face": 16}
    assert made.card.data.groups == "camera"


def test_a_model_folder_that_was_changed_is_refused(made: Classifier, lfw: Path, tmp_path: Path) -> None:
    for name in ("model.onnx", "weights.safetensors", "manifest.parquet"):
        folder = tmp_path / name
        shutil.copytree(made.folder, folder)
        data = bytearray((folder / name).read_bytes())
        data[len(data) // 2] ^= 1
        (folder / name).write_bytes(bytes(data))
        with pytest.raises(ModelFolderError, match=f"{name} was changed or damaged"):
            open_folder(folder) if name == "model.onnx" else fv.evaluate(folder, lfw)
        (folder / name).unlink()
        with pytest.raises(ModelFolderError, match=f"{name} is missing"):
            open_folder(folder) if name == "model.onnx" else fv.evaluate(folder, lfw)


def test_a_recipe_holds_the_seed_and_the_groups(lfw: Path, tiny: dict[str, object], tmp_path: Path) -> None:
    plain, own_file = tmp_path / "plain.toml", tmp_path / "own.toml"
    network = "[network]\nname = 'small-resnet'\nweights = 'none'\n"
    plain.write_text("method = 'scratch'\n" + network)
    own_file.write_text("method = 'scratch'\nseed = 7\n" + network + "[split]\ngroups = 'stem:(..)$'\n")
    quick = {"size": 16, "epochs": 1, "settings": tiny}
    own = fv.train(lfw, tmp_path / "own", recipe=str(own_file), **quick)
    told = fv.train(lfw, tmp_path / "told", recipe=str(plain), seed=7, groups="stem:(..)$", **quick)
    assert own.card.provenance.seed == told.card.provenance.seed == own.card.recipe["seed"] == 7
    assert own.card.data.groups == told.card.data.groups == "stem:(..)$"
    assert TrainSummary.of(own.card).to_dict()["test"]["nll"] == TrainSummary.of(told.card).to_dict()["test"]["nll"]
    other = fv.train(lfw, tmp_path / "other", recipe=str(own_file), seed=1, groups="image", **quick)
    assert (other.card.provenance.seed, other.card.recipe["seed"], other.card.data.groups) == (1, 1, "image")


def test_a_recipe_whose_group_pattern_matches_nothing_warns_and_trains(
    lfw: Path, tiny: dict[str, object], tmp_path: Path, notes: list[str]
) -> None:
    changes = {**tiny, "split.groups": "stem:^(rendering-.*)$"}
    made = fv.train(lfw, tmp_path / "m", recipe="scratch", size=16, epochs=1, settings=changes)
    assert made.card.data.groups == "image"
    assert any("[groups-not-found]" in text for text in notes)
