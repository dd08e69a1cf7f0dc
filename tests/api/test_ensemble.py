"""An ensemble answers with the average of its members' own answers, in torch and in its file."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import torch

import facevalue as fv
from facevalue.api.ensemble import averaged, joined
from facevalue.data.manifest import SPLITS, Manifest
from facevalue.errors import DataError, UsageError
from facevalue.evidence.card import MANIFEST, WEIGHTS, ModelCard, NetworkFacts
from facevalue.evidence.records import AttackReport, Evaluation
from facevalue.evidence.summary import TrainSummary
from facevalue.images.preprocessing import Preprocessing
from facevalue.models.classifier import Classifier, load
from facevalue.models.networks import build
from facevalue.support import files


@pytest.fixture(scope="session")
def members(
    made: Classifier, tiny: dict[str, object], lfw: Path, tmp_path_factory: pytest.TempPathFactory
) -> list[Path]:
    """Two models of the same images and splits: other networks, other features, other maps."""
    other = tmp_path_factory.mktemp("other") / "cnn"
    options = {"network.options": {}, "fit.patience": 0, "optimizer.lr": 1e-3}
    fv.train(lfw, other, recipe="scratch", network="small-cnn", size=24, epochs=4, settings=options)
    return [made.folder, other]


@pytest.fixture(scope="session")
def together(members: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    return fv.ensemble(members, tmp_path_factory.mktemp("together") / "model")


@pytest.fixture(scope="session")
def pixels(lfw: Path, made: Classifier) -> np.ndarray:
    chosen = [*sorted((lfw / "face").iterdir())[:9], *sorted((lfw / "not-face").iterdir())[:9]]
    return np.stack([made.card.preprocessing.read(f.read_bytes()) for f in chosen])


def probabilities(folder: Path, pixels: np.ndarray) -> np.ndarray:
    x = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    with torch.inference_mode():
        return load(folder).probabilities(x).numpy()


def test_it_answers_with_the_average_of_the_members(
    together: Classifier, members: list[Path], pixels: np.ndarray
) -> None:
    own = [probabilities(m, pixels) for m in members]
    assert np.abs(own[0] - own[1]).max() > 0.05  # the members disagree; otherwise the test would show nothing
    expected = np.mean(own, axis=0)
    assert np.allclose(probabilities(together.folder, pixels), expected, atol=1e-6)
    session = onnxruntime.InferenceSession(str(together.folder / "model.onnx"))
    names = [o.name for o in session.get_outputs()]
    assert names == ["logits", "probabilities", "novelty"]
    logits, p, _ = session.run(None, {"pixels": pixels})
    assert np.allclose(p, expected, atol=1e-5)
    assert np.allclose(np.exp(logits), expected, atol=1e-5)  # the logarithm of the average
    assert together.card.temperature == 1.0


def test_its_novelty_is_the_root_mean_square_of_the_members(
    together: Classifier, members: list[Path], pixels: np.ndarray
) -> None:
    x = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    with torch.inference_mode():
        parts = [(m.novelty(m.features(x)) / m.card.abstention.novelty).numpy() for m in map(load, members)]
        whole = load(together.folder)
        got = whole.novelty(whole.features(x)).numpy()
    assert np.allclose(got, np.sqrt(np.mean(np.square(parts), axis=0)), rtol=1e-3)
    session = onnxruntime.InferenceSession(str(together.folder / "model.onnx"))
    assert np.allclose(session.run(["novelty"], {"pixels": pixels})[0], got, rtol=1e-3)


def test_it_is_a_model_folder_like_any(together: Classifier, made: Classifier, lfw: Path, tmp_path: Path) -> None:
    card = together.card
    assert {p.name for p in together.folder.iterdir()} == {p.name for p in made.folder.iterdir()}
    own = made.card.evaluation("test")
    test = card.evaluation("test")
    assert own is not None
    assert test is not None
    assert (test.n, test.provenance.fingerprint) == (own.n, own.provenance.fingerprint)
    assert card.abstention.n == made.card.abstention.n
    assert card.network.parameters > made.card.network.parameters
    assert [m["network"] for m in card.recipe["members"]] == ["small-resnet", "small-cnn"]
    folder = Path(shutil.copytree(together.folder, tmp_path / "model"))
    assert fv.evaluate(folder, lfw).confusion == test.confusion
    attacked = fv.attack(folder, lfw, eps=[4 / 255], limit=20)
    assert attacked.results[0].robust_accuracy <= attacked.results[0].clean_accuracy
    assert any(isinstance(e, AttackReport) for e in ModelCard.load(folder).evidence)
    assert fv.export(folder, tmp_path / "out.onnx").label_agreement == 1.0
    predictions = list(fv.predict(folder, [lfw / "face"]))
    assert [v.error for v in predictions] == [None] * 100
    rows = fv.compare([folder, made.folder], plot=tmp_path / "curves.png").models
    assert [row.method for row in rows] == ["ensemble", "scratch"]
    json.dumps(TrainSummary.of(together.card).to_dict(), allow_nan=False)


def test_heat_needs_members_with_maps_of_one_size(
    together: Classifier, made: Classifier, lfw: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="gradcam needs feature maps, and ensemble has none"):
        fv.explain(together.folder, [lfw / "face" / "face-000.png"], tmp_path)
    twin = random_member(tmp_path / "twin", widths=[12, 16])
    body = averaged([load(made.folder), twin]).body
    assert body.spatial
    x = torch.rand(2, 3, 24, 24)
    assert body.maps(x).shape == (2, 32, 6, 6)


def random_member(
    folder: Path, classes: tuple[str, ...] = ("face", "not-face"), size: int = 24, **options: object
) -> Classifier:
    torch.manual_seed(1)
    chosen = {"widths": [8, 16], "blocks": 1, "dropout": 0.1, **options}
    body = build("small-resnet", len(classes), size, chosen)
    facts = NetworkFacts(name="small-resnet", options=chosen, pooled=True)
    card = ModelCard(classes=classes, preprocessing=Preprocessing(size=size), network=facts, positive=classes[-1])
    return Classifier(body, card).eval()


def test_classes_are_matched_by_name_whatever_their_order() -> None:
    a, b = random_member(Path("a")), random_member(Path("b"), classes=("not-face", "face"), widths=[12, 16])
    x = torch.rand(5, 3, 24, 24)
    with torch.no_grad():
        expected = (a.probabilities(x) + b.probabilities(x).flip(1)) / 2
        assert torch.allclose(averaged([a, b]).probabilities(x), expected, atol=1e-6)


def test_gradients_flow_to_the_image_and_are_the_averages() -> None:
    a, b = random_member(Path("a")), random_member(Path("b"), widths=[12, 16])
    x = torch.rand(3, 3, 24, 24)

    def slope(p: object) -> torch.Tensor:
        given = x.clone().requires_grad_(True)
        (p(given)[:, 0].sum()).backward()  # type: ignore[operator]
        assert given.grad is not None
        return given.grad

    both = averaged([a, b])
    expected = (slope(a.probabilities) + slope(b.probabilities)) / 2
    assert torch.allclose(slope(both.probabilities), expected, atol=1e-6)


def test_certainty_beyond_float32_stays_finite() -> None:
    a, b = random_member(Path("a")), random_member(Path("b"), widths=[12, 16])
    for member, sign in ((a, 1.0), (b, 1.0)):
        with torch.no_grad():
            member.body.head.bias.copy_(torch.tensor([1e4 * sign, -1e4 * sign]))
    both = averaged([a, b])
    with torch.no_grad():
        logits = both.logits(torch.rand(1, 3, 24, 24))
    assert logits.isfinite().all()


def test_what_cannot_be_combined(
    made: Classifier, members: list[Path], lfw: Path, tiny: dict[str, object], tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="at least two"):
        fv.ensemble([made.folder], tmp_path / "m")
    with pytest.raises(UsageError, match="are the same model"):
        fv.ensemble([made.folder, made.folder], tmp_path / "m")
    for name, member in {
        "zebra": random_member(tmp_path, classes=("face", "zebra")),
        "large": random_member(tmp_path, size=32),
    }.items():
        (tmp_path / name).mkdir()
        member.write(tmp_path / name)
    with pytest.raises(UsageError, match=r"the classes do not match: .* has face, not-face; .* has face, zebra"):
        fv.ensemble([made.folder, tmp_path / "zebra"], tmp_path / "m")
    with pytest.raises(UsageError, match=r"takes 24 x 24 pixels .* takes 32 x 32 pixels .*`size`"):
        fv.ensemble([made.folder, tmp_path / "large"], tmp_path / "m")
    with pytest.raises(UsageError, match="is already a model folder"):
        fv.ensemble(members, made.folder)
    assert not (tmp_path / "m").exists()


def test_images_that_moved_are_found_by_their_bytes(members: list[Path], lfw: Path, tmp_path: Path) -> None:
    moved, nowhere = tmp_path / "moved", tmp_path / "gone"
    shutil.copytree(lfw, moved)
    copies = []
    for i, member in enumerate(members):
        copy = Path(shutil.copytree(member, tmp_path / f"member-{i}"))
        table = pd.read_parquet(copy / MANIFEST)
        table.assign(path=str(nowhere) + "/" + table["key"]).to_parquet(copy / MANIFEST, index=False)
        card = ModelCard.load(copy)
        card.changed(files={**card.files, MANIFEST: files.sha256(copy / MANIFEST)}).save(copy)
        copies.append(copy)
    with pytest.raises(DataError, match=r"200 of 200 images .* say where they are with `data`"):
        fv.ensemble(copies, tmp_path / "m")
    whole = fv.ensemble(copies, tmp_path / "m", data=moved)
    test = whole.card.evaluation("test")
    assert isinstance(test, Evaluation)
    assert test.n > 20


def test_each_image_joins_the_earliest_split_that_a_member_gave_it() -> None:
    def table(splits: dict[str, str], groups: dict[str, str]) -> Manifest:
        rows = [
            {"path": n, "key": n, "label": "a", "group": groups.get(n, n), "split": s, "sha256": n, "error": ""}
            for n, s in splits.items()
        ]
        return Manifest(pd.DataFrame(rows), "somewhere")

    one = table({"p": "test", "q": "test", "r": "train", "s": "test"}, {"q": "g", "s": "h"})
    two = table({"p": "validation", "q": "test", "t": "calibration", "u": "test"}, {"t": "g", "u": "k"})
    whole = joined([one, two]).table.set_index("key")["split"].to_dict()
    assert whole == {
        "p": "validation",
        "q": "calibration",  # its group took part in the second's calibration
        "r": "train",
        "s": "test",
        "t": "calibration",
        "u": "test",
    }
    assert set(whole.values()) == set(SPLITS)


def test_a_member_that_kept_nothing_for_calibration_is_named(
    members: list[Path], lfw: Path, tmp_path: Path, notes: list[str]
) -> None:
    changes = {"network.options": {"widths": [8, 16]}, "network.weights": "none", "refit": True}
    fv.train(lfw, tmp_path / "again", recipe="probe", network="small-resnet", size=24, settings=changes)
    result = fv.ensemble([members[1], tmp_path / "again"], tmp_path / "together")
    told = [note for note in notes if "[no-shared-calibration-images]" in note]
    assert len(told) == 1
    assert "(again was also trained on its own (refit))" in told[0]
    assert result.card.evaluation("calibration") is None
    assert result.card.abstention.confidence >= load(members[1]).card.abstention.confidence


def test_the_weights_of_the_members_are_kept_as_they_were(together: Classifier, members: list[Path]) -> None:
    whole = load(together.folder).state_dict()
    for i, member in enumerate(members):
        for name, value in load(member).state_dict().items():
            assert torch.equal(whole[f"body.together.members.{i}.{name}"], value), name
    assert together.card.files[WEIGHTS] == files.sha256(together.folder / WEIGHTS)
