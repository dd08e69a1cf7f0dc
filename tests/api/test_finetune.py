"""Fine-tuning on hard images: splits, mixing, measurements and warnings."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn

import facevalue as fv
from facevalue.api.finetune import FinetuneResult
from facevalue.data.hard_images import hard_manifest
from facevalue.data.scan import scan
from facevalue.data.training_data import HARD_IMAGES_ONLY, learned_manifest
from facevalue.errors import DataError, UsageError
from facevalue.evidence.card import WEIGHTS, ModelCard
from facevalue.evidence.records import FinetuneReport
from facevalue.models.classifier import Classifier, load
from facevalue.training.head import moved_head


@pytest.fixture(scope="session")
def hard(lfw: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded images as noisy negatives, which a network trained on the positives gets wrong."""
    folder = tmp_path_factory.mktemp("hard") / "negatives"
    rng = np.random.default_rng(0)
    for label in ("face", "not-face"):
        (folder / label).mkdir(parents=True)
        for file in sorted((lfw / label).iterdir()):
            with Image.open(file) as image:
                negative = 255 - np.asarray(image).astype(float)
            noisy = np.clip(negative + rng.normal(0, 60, negative.shape), 0, 255)
            Image.fromarray(noisy.astype(np.uint8)).save(folder / label / file.name)
    return folder


@pytest.fixture(scope="session")
def moved(made: Classifier, hard: Path, tmp_path_factory: pytest.TempPathFactory) -> FinetuneResult:
    out = tmp_path_factory.mktemp("moved") / "model"
    return fv.finetune(made.folder, hard, out)


@pytest.fixture(scope="session")
def trained(made: Classifier, hard: Path, tmp_path_factory: pytest.TempPathFactory) -> FinetuneResult:
    out = tmp_path_factory.mktemp("trained") / "model"
    return fv.finetune(made.folder, hard, out, stages="all", epochs=6, lr=3e-3, replay=1.0)


def test_training_all_learns_the_hard_set_on_images_it_did_not_see(trained: FinetuneResult) -> None:
    figures = trained.to_dict()
    assert figures["hard_after"]["accuracy"] > figures["hard_before"]["accuracy"] + 0.1
    assert figures["gained"]["ci"][0] > 0
    assert figures["old_test_after"]["accuracy"] > 0.75
    table = pd.read_parquet(trained.model.folder / "manifest.parquet")
    assert (table.groupby("group")["split"].nunique() == 1).all()
    assert not (trained.model.folder.with_name("model.training")).exists()


def test_the_old_model_and_its_old_test_figures_stay(
    made: Classifier, moved: FinetuneResult, trained: FinetuneResult
) -> None:
    own = made.card.evaluation("test")
    assert own is not None
    for result in (moved, trained):
        before = result.evaluations["old_test_before"]
        fingerprint = own.provenance.fingerprint
        assert (before.n, before.provenance.fingerprint, before.confusion) == (own.n, fingerprint, own.confusion)
        assert result.evaluations["old_test_after"].provenance.fingerprint == fingerprint
    assert ModelCard.load(made.folder).to_json() == made.card.to_json()


def test_the_head_alone_leaves_the_body_bit_for_bit(made: Classifier, moved: FinetuneResult) -> None:
    before, after = load_file(made.folder / WEIGHTS), load_file(moved.model.folder / WEIGHTS)
    for name in before:
        if name.startswith("body.") and not name.startswith("body.head."):
            assert torch.equal(before[name], after[name]), name
    assert not torch.equal(before["body.head.weight"], after["body.head.weight"])


def test_forgotten_images_are_counted(trained: FinetuneResult, made: Classifier) -> None:
    figures = trained.to_dict()
    forgotten = figures["forgotten"]
    n = figures["old_test_before"]["n"]
    assert forgotten["accuracy"] == pytest.approx((forgotten["lost"] - forgotten["won"]) / n)
    difference = figures["old_test_before"]["accuracy"] - figures["old_test_after"]["accuracy"]
    assert forgotten["accuracy"] == pytest.approx(difference)
    assert forgotten["ci"][0] <= forgotten["accuracy"] <= forgotten["ci"][1]
    json.dumps(figures, allow_nan=False)


def test_the_card_says_what_was_done(moved: FinetuneResult, made: Classifier, lfw: Path) -> None:
    card = ModelCard.load(moved.model.folder)
    [told] = card.of_kind(FinetuneReport)
    assert (told.stages, told.replay) == ("head", 1.0)
    assert told.weights_sha256 == made.card.files[WEIGHTS]
    assert [c.images for c in told.changes] == ["old test", "hard test"]
    assert told.replayed == card.evaluation("train").n / 2  # type: ignore[union-attr]
    test = card.evaluation("test")
    assert test is not None
    assert test.n == sum(c.n for c in told.changes)
    assert sum(card.data.counts["test"].values()) == test.n
    page = (moved.model.folder / "report.html").read_text()
    assert "Before and after fine-tuning" in page
    assert "old test" in page
    assert fv.evaluate(moved.model.folder, lfw, split="test", save=False).n == told.changes[0].n


def test_the_hard_set_is_split_by_group_and_what_is_known_is_left_out(
    made: Classifier, hard: Path, lfw: Path, tmp_path: Path
) -> None:
    data = Path(shutil.copytree(hard, tmp_path / "hard"))
    for i in range(7):
        shutil.copy(lfw / "face" / f"face-{i:03}.png", data / "face" / f"old-{i}.png")
    known = learned_manifest(made.origin.manifest, made.card)
    manifest, left_out = hard_manifest(scan(data), known, made.card.classes, r"stem:-(\d\d)", 0)
    assert 7 <= left_out <= 10  # a negative may look like another image
    assert not set(manifest.table["sha256"]) & set(known.table["sha256"])
    assert (manifest.table.groupby("group")["split"].nunique() == 1).all()
    [known_images] = [w for w in manifest.warnings if w.code == "hard-images-known"]
    assert known_images.values == {"n": left_out}
    shares = manifest.table["split"].value_counts(normalize=True)
    assert 0.15 < shares["test"] < 0.45
    with pytest.raises(DataError, match="is already in the model's own data"):
        hard_manifest(scan(lfw), known, made.card.classes, None, 0)


def test_a_hard_set_of_one_class_is_accepted_with_a_warning(made: Classifier, hard: Path, tmp_path: Path) -> None:
    data = tmp_path / "one"
    shutil.copytree(hard / "face", data / "face")
    result = fv.finetune(made.folder, data, tmp_path / "model", replay=2)
    assert result.to_dict()["hard_after"]["n"] == 30
    [lacking] = [w for w in result.to_dict()["warnings"] if w["code"] == "hard-set-lacks-class"]
    assert lacking["values"] == {"classes": ("not-face",)}
    train = result.model.card.evaluation("train")
    assert train is not None
    assert train.n == 40 + 80  # forty hard faces and two old ones for each


def test_a_refitted_model_is_calibrated_on_the_hard_set(lfw: Path, hard: Path, tmp_path: Path) -> None:
    changes = {"network.options": {"widths": [8, 16]}, "network.weights": "none", "refit": True}
    made = fv.train(lfw, tmp_path / "model", recipe="probe", network="small-resnet", size=24, settings=changes)
    result = fv.finetune(made.folder, hard, tmp_path / "moved", replay=1.0)
    calibrated = result.model.card.evaluation("calibration")
    assert calibrated is not None
    table = pd.read_parquet(result.model.folder / "manifest.parquet")
    assert set(table["split"][table["key"].str.startswith("hard")]) == {"train", "validation", "calibration", "test"}
    assert calibrated.n == (table["split"] == "calibration").sum() < 40
    assert HARD_IMAGES_ONLY in result.report.warnings
    turned = tmp_path / "turned"
    for file in sorted(hard.rglob("*.png")):
        (turned / file.parent.name).mkdir(parents=True, exist_ok=True)
        with Image.open(file) as image:
            image.transpose(Image.Transpose.ROTATE_90).save(turned / file.parent.name / file.name)
    further = fv.finetune(result.model.folder, turned, tmp_path / "further")
    assert HARD_IMAGES_ONLY in further.report.warnings
    other = fv.train(lfw, tmp_path / "other", recipe="probe", network="small-resnet", size=24, settings=changes)
    both = fv.ensemble([result.model.folder, other.folder], tmp_path / "both")
    assert HARD_IMAGES_ONLY in both.card.data.warnings
    shutil.copytree(hard / "face", tmp_path / "one" / "face")
    with pytest.raises(
        DataError, match="no hard images of not-face for calibration, and the model was trained on its own"
    ):
        fv.finetune(made.folder, tmp_path / "one", tmp_path / "no", stages="all", epochs=1)
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith("no")] == []


def test_wrong_use_is_reported_before_the_work(made: Classifier, hard: Path, tmp_path: Path) -> None:
    out = tmp_path / "m"
    with pytest.raises(UsageError, match="`lr`, `epochs` and `settings` need `stages`"):
        fv.finetune(made.folder, hard, out, lr=1e-3)
    with pytest.raises(UsageError, match="head, all or a number"):
        fv.finetune(made.folder, hard, out, stages=0)
    with pytest.raises(UsageError, match="is already a model folder"):
        fv.finetune(made.folder, hard, made.folder)
    with pytest.raises(UsageError, match="is what the new model is made from"):
        fv.finetune(made.folder, hard, made.folder, overwrite=True)
    with pytest.raises(UsageError, match=r"network\.name is fixed by the model"):
        fv.finetune(made.folder, hard, out, stages="all", settings={"network.name": "small-cnn"})
    with pytest.raises(UsageError, match="refit is fixed by the model"):
        fv.finetune(made.folder, hard, out, stages="all", settings={"refit": True})
    with pytest.raises(UsageError, match="`replay` to be a number of at least 0, but got inf"):
        fv.finetune(made.folder, hard, out, replay=math.inf)
    other = tmp_path / "other"
    shutil.copytree(hard / "face", other / "zebra")
    with pytest.raises(DataError, match=r"the model knows face, not-face; .* has zebra"):
        fv.finetune(made.folder, other, out)
    few = tmp_path / "few" / "face"
    few.mkdir(parents=True)
    for file in sorted((hard / "face").iterdir())[:3]:
        shutil.copy(file, few)
    with pytest.raises(DataError, match="class 'face' has only 3 independent groups"):
        fv.finetune(made.folder, few.parent, out)
    with pytest.raises(DataError, match=r"200 of 200 images .* are not in the data given.*`old`"):
        fv.finetune(made.folder, hard, out, old=few.parent)
    assert not out.exists()


def test_the_moved_head_is_the_convex_optimum() -> None:
    torch.manual_seed(0)
    x, y = torch.randn(80, 5), np.arange(80) % 2
    head = nn.Linear(5, 2)
    strength = 10.0
    new, history = moved_head(head, (x, y), (x, y), strengths=(strength,))
    scale = x.double().var(0).mean().sqrt()
    step_w = ((new.weight - head.weight).double() * scale).detach()
    step_b = (new.bias - head.bias).double().detach()
    # Stationary: the loss's gradient is minus the step over the strength, by hand for a softmax.
    p = torch.softmax(new(x).double().detach(), 1)
    error = (p - torch.eye(2).double()[y]) / len(y)
    assert torch.allclose(error.T @ (x.double() / scale), -step_w / strength, atol=1e-5)
    assert torch.allclose(error.sum(0), -step_b / strength, atol=1e-5)
    assert [line["strength"] for line in history] == [strength]


def test_a_strong_penalty_leaves_the_head_where_it_was() -> None:
    torch.manual_seed(0)
    head = nn.Linear(5, 2)
    data = (torch.randn(40, 5), np.arange(40) % 2)
    far = moved_head(head, data, data, strengths=(1e3,))[0]
    near = moved_head(head, data, data, strengths=(1e-3,))[0]
    assert (near.weight - head.weight).abs().max() < 1e-3
    assert (far.weight - head.weight).abs().max() > 0.01


def test_an_ensemble_is_refused(made: Classifier, moved: FinetuneResult, hard: Path, tmp_path: Path) -> None:
    whole = fv.ensemble([made.folder, moved.model.folder], tmp_path / "both")
    assert load(whole.folder).card.classes == made.card.classes
    with pytest.raises(UsageError, match="is an ensemble; fine-tune its members"):
        fv.finetune(whole.folder, hard, tmp_path / "m")
