"""Known source or silence, and learning a source: on planted sources, colours with a texture for each class."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pytest
from PIL import Image

import facevalue as fv
from facevalue.api.adapt import AdaptResult
from facevalue.errors import DataError, UsageError
from facevalue.evidence.card import CARD, ModelCard
from facevalue.evidence.gate_facts import GateFacts
from facevalue.models.classifier import Classifier, load
from facevalue.training.known_sources import TrainingSources
from facevalue.training.recipe import read
from facevalue.training.settings.sources import SourceSettings
from facevalue.training.split_data import split_manifest

COLOURS = {
    "real/red": (200, 60, 60),
    "real/green": (60, 200, 60),
    "ai/blue": (60, 60, 200),
    "ai/grey": (130, 130, 130),
    "real/yellow": (150, 150, 60),
    "ai/pink": (150, 70, 150),
}
"""Mean colour of each source; the last two are unknown to the model."""
KNOWN = list(COLOURS)[:4]
SETTINGS = {
    "sources.known": "on",
    "split.near": -1,
    "network.name": "small-cnn",
    "network.weights": "none",
    "network.size": 32,
}


def write(folder: Path, name: str, n: int, seed: int = 0) -> Path:
    """Images of a source: stripes of 4 pixels for real, of 2 for ai, on its colour, with noise."""
    rng = np.random.default_rng([seed, *name.encode()])
    folder.mkdir(parents=True, exist_ok=True)
    width = 4 if name.startswith("real") else 2
    stripes = 24 * np.sign(np.sin(np.pi * (np.arange(32) + 0.5) / width))[None, :, None]
    for i in range(n):
        pixels = np.array(COLOURS[name]) + rng.normal(0, 12, 3) + stripes + rng.normal(0, 8, (32, 32, 3))
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"{i}.png")
    return folder


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("sources")
    for name in KNOWN:
        write(root / "train" / name, name, 40)
    for name in COLOURS:
        write(root / "new" / name, name, 20, seed=1)
    return root


@pytest.fixture(scope="module")
def model(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    return fv.train(images / "train", tmp_path_factory.mktemp("made") / "model", groups="image", settings=SETTINGS)


@pytest.fixture(scope="module")
def adapted(images: Path, model: Classifier, tmp_path_factory: pytest.TempPathFactory) -> AdaptResult:
    add = {name: images / "new" / name for name in ("real/yellow", "ai/pink")}
    return fv.adapt(model.folder, add, tmp_path_factory.mktemp("adapted") / "model")


def test_the_figures_of_an_adapted_model_can_be_computed_again(adapted: AdaptResult) -> None:
    checks = {check.name: check for check in fv.verify(adapted.model.folder).checks}
    assert checks["figures"].passed, checks["figures"]
    assert checks["files"].passed


def unknown(model: Classifier | fv.Predictor, folder: Path) -> float:
    found = model.predict(folder)
    return float(np.mean(["unknown_source" in one.reasons for one in found]))


def test_the_reason_appears_on_unknown_sources_and_not_on_known_ones(images: Path, model: Classifier) -> None:
    for name in COLOURS:
        share = unknown(model, images / "new" / name)
        assert share <= 0.25 if name in KNOWN else share >= 0.9, name


def test_torch_and_the_graph_give_the_same_reasons(images: Path, model: Classifier) -> None:
    assert model.folder is not None
    quick = fv.open(model.folder)
    for name in COLOURS:
        folder = images / "new" / name
        one, other = model.predict(folder), quick.predict(folder)
        assert [p.reasons for p in one] == [p.reasons for p in other]
        np.testing.assert_allclose([p.novelty for p in one], [p.novelty for p in other], rtol=1e-3)


def test_the_card_says_which_sources_it_knows_and_how_well(model: Classifier) -> None:
    facts = model.card.sources
    assert facts is not None
    assert set(facts.names) == set(KNOWN)
    assert facts.share == 0.92
    assert {one.name for one in facts.known} == set(KNOWN)
    assert all(one.rate > 0.7 for one in facts.known)
    assert {one.name for one in facts.left_out} == set(KNOWN)
    assert np.mean([one.rate for one in facts.left_out]) > 0.7
    assert model.card.abstention.source is not None
    assert model.card.abstention.source <= model.card.abstention.novelty


def splits_of_folders(data: Path | pd.DataFrame, known: str, **settings: object) -> list[int]:
    """The number of splits that each source's images lie in."""
    recipe = read("probe", {**SETTINGS, "sources.known": known, **settings})  # type: ignore[dict-item]
    table = split_manifest(data, recipe, None).table
    return list(table.groupby(["label", table["path"].map(lambda path: Path(path).parent.name)])["split"].nunique())


def test_folders_of_sources_are_no_groups_where_sources_should_be_known(images: Path, notes: list[str]) -> None:
    folder = images / "train"
    assert min(splits_of_folders(folder, "on")) > 1
    assert any("[sources-in-all-splits]" in text for text in notes)
    with pytest.raises(DataError, match=r"folders are sources .* set `groups` to image"):
        splits_of_folders(folder, "off")
    with pytest.raises(DataError, match="grouped by parent"):
        splits_of_folders(folder, "on", **{"split.groups": "parent"})


def test_a_face_recipe_says_that_folders_are_groups(tmp_path: Path, notes: list[str]) -> None:
    for name in ("real/red", "ai/grey"):
        for i in range(5):
            write(tmp_path / name.split("/")[0] / f"camera{i}", name, 2, seed=i)
    assert splits_of_folders(tmp_path, "auto") == [1] * 10
    assert not any("[sources-in-one-split]" in text for text in notes)
    assert splits_of_folders(tmp_path, "auto", **{"gate.kind": "face"}) == [1] * 10
    assert any("[sources-in-one-split]" in text and "set `groups` to image" in text for text in notes)


def test_the_groups_of_a_manifest_stay(images: Path) -> None:
    paths = sorted((images / "train").rglob("*.png"))
    rows = [(str(path), path.parts[-3], path.parts[-2], path.stem) for path in paths]
    table = pd.DataFrame(rows, columns=["path", "label", "source", "group"])
    recipe = read("probe", SETTINGS)  # type: ignore[arg-type]
    assert split_manifest(table, recipe, None).table.groupby("group")["split"].nunique().max() == 1
    del table["group"]
    assert min(splits_of_folders(table, "on")) > 1  # by chance, a small source can lack a split


def test_the_reason_is_told_in_words(images: Path, model: Classifier) -> None:
    told = [one for one in model.predict(images / "new" / "real/yellow") if "unknown_source" in one.reasons]
    assert told
    assert all(one.label is None and "no camera, collection or generator" in one.why for one in told)


def test_without_the_setting_or_a_gate_no_source_is_asked_for(images: Path) -> None:
    settings = {**SETTINGS, "sources.known": "auto"}
    made = fv.train(images / "train", groups="image", settings=settings)
    assert made.card.sources is None
    assert made.card.abstention.source is None
    assert made.card.novelty.score != "sources"
    with pytest.raises(UsageError, match="does not know its sources"):
        fv.adapt(made, {"real/yellow": images / "new" / "real/yellow"})


def test_images_without_sources_are_refused(images: Path, tmp_path: Path) -> None:
    for name in ("real/red", "ai/blue"):
        write(tmp_path / name.partition("/")[0], name, 20)
    with pytest.raises(UsageError, match="have no sources"):
        fv.train(tmp_path, groups="image", settings=SETTINGS)


def test_a_learned_source_is_known_and_right(images: Path, model: Classifier, adapted: AdaptResult) -> None:
    report = adapted.report
    assert report.balanced_accuracy >= 0.9
    assert report.auroc is not None
    assert report.auroc >= 0.95
    for one in report.sources:
        assert one.n == 20
        assert one.known_before < 0.2
        assert one.known > 0.6
    assert adapted.model.card.sources is not None
    assert adapted.model.card.sources.names == (*model.card.sources.names, "real/yellow", "ai/pink")
    assert adapted.model.card.sources.adapted == ("real/yellow", "ai/pink")
    fresh = write(images / "fresh", "real/yellow", 20, seed=2)
    labels = [one.leaning for one in adapted.model.predict(fresh)]
    assert labels.count("real") >= 18
    assert unknown(adapted.model, fresh) <= 0.4


def test_adapting_keeps_the_old_answers(images: Path, model: Classifier, adapted: AdaptResult) -> None:
    (change,) = adapted.report.changes
    assert change.n == model.card.evaluation("test").provenance.n
    assert change.lost <= 1
    same = 0
    for name in KNOWN:
        folder = images / "new" / name
        pairs = zip(model.predict(folder), adapted.model.predict(folder), strict=True)
        same += sum(a.leaning == b.leaning for a, b in pairs)
    assert same >= 78  # of 80
    card = adapted.model.card
    assert (card.threshold, card.temperature, card.abstention) == (
        model.card.threshold,
        model.card.temperature,
        model.card.abstention,
    )


def test_an_adapted_folder_opens_and_adapts_again(images: Path, adapted: AdaptResult) -> None:
    assert adapted.model.folder is not None
    again = load(adapted.model.folder)
    more = write(images / "more", "real/yellow", 10, seed=3)
    with pytest.raises(UsageError, match="has this source already"):
        fv.adapt(again, {"real/yellow": more})
    result = fv.adapt(again, {"real/another": more})
    assert result.model.card.sources.names[-1] == "real/another"
    assert result.report.auroc is None


@pytest.mark.parametrize(
    ("add", "kind", "says"),
    [
        ({}, UsageError, "names no source"),
        ({"yellow": "."}, UsageError, "class and source"),
        ({"film/yellow": "."}, UsageError, "has no class 'film'"),
        ({"real/yellow": "nowhere"}, UsageError, "is not a folder"),
        ({"real/": "."}, UsageError, "class and source"),
        ({"real/ ": "."}, UsageError, "class and source"),
        ({"real/\u200b": "."}, UsageError, "class and source"),
        ({"real/yellow ": "."}, UsageError, "begins or ends with a space"),
        ({"real/yellow": ".", "ai/pink": "./"}, UsageError, "is given for real/yellow too"),
        ({"real/yellow": ".", "ai/pink": ".."}, UsageError, "one is inside the other"),
    ],
)
def test_wrong_use_of_adapt(model: Classifier, add: dict[str, str], kind: type[Exception], says: str) -> None:
    with pytest.raises(kind, match=says):
        fv.adapt(model, add)


def test_images_that_the_model_has_do_not_count(images: Path, model: Classifier) -> None:
    with pytest.raises(DataError, match="0 different readable images are new"):
        fv.adapt(model, {"real/again": images / "train" / "real/red"})


def test_an_image_of_two_new_sources_is_refused(images: Path, model: Classifier, tmp_path: Path) -> None:
    other = write(tmp_path / "pink", "ai/pink", 6, seed=5)
    shutil.copy(images / "new/real/yellow/3.png", other / "copy.png")
    with pytest.raises(DataError, match=r"1 image in the folders of two sources.*ai/pink and real/yellow"):
        fv.adapt(model, {"real/yellow": images / "new/real/yellow", "ai/pink": other})


def test_what_is_left_out_of_new_sources_is_said(images: Path, model: Classifier, tmp_path: Path) -> None:
    folder = write(tmp_path / "yellow", "real/yellow", 6, seed=6)
    shutil.copy(folder / "0.png", folder / "again.png")
    shutil.copy(images / "train/real/red/0.png", folder / "known.png")
    (folder / "broken.png").write_bytes((folder / "1.png").read_bytes()[:40])
    report = fv.adapt(model, {"real/yellow": folder}).report
    (left_out,) = (one for one in report.warnings if one.code == "new-images-left-out")
    assert left_out.values == {"known": 1, "twice": 1, "unreadable": 1, "no_face": 0}
    assert [one.n for one in report.sources] == [6]
    with pytest.raises(DataError, match="4 different readable images"):
        for i in (2, 3):
            shutil.copy(folder / "0.png", folder / f"{i}.png")
        fv.adapt(model, {"real/yellow": folder})


def test_cards_from_before_there_were_sources_load(model: Classifier, tmp_path: Path) -> None:
    assert model.folder is not None
    plain = json.loads((model.folder / CARD).read_text())
    for name in ("sources", "seals"):
        plain.pop(name)
    plain["abstention"].pop("source")
    (tmp_path / CARD).write_text(json.dumps(plain))
    card = ModelCard.load(tmp_path)
    assert card.sources is None
    assert card.abstention.source is None
    assert msgspec.json.decode(card.to_json(), type=ModelCard) == card


def test_auto_is_on_for_faces_with_two_sources_in_each_class(images: Path, model: Classifier) -> None:
    data = fv.ImageDataset.from_folder(images / "train")
    found = TrainingSources.of(model, data, SourceSettings())
    assert found is None  # it does not look for faces
    card = model.card
    gate = GateFacts(detector="yunet", sha256="0" * 64, licence="MIT")
    face = msgspec.structs.replace(card.preprocessing, face_margin=0.3)
    of_faces = model.changed(card.changed(gate=gate, preprocessing=face, evidence=()))
    found = TrainingSources.of(of_faces, data, SourceSettings())
    assert found is not None
    assert ["/".join(name) for name in found.names] == sorted(KNOWN)
    assert TrainingSources.of(of_faces, data, SourceSettings(known="off")) is None
    fewer = data.take([i for i, source in enumerate(data.rows["key"]) if "grey" not in source])
    assert TrainingSources.of(of_faces, fewer, SourceSettings()) is None
