from __future__ import annotations

import shutil
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from facevalue.errors import ModelFolderError
from facevalue.evidence.card import CARD, ONNX, Abstention, ModelCard
from facevalue.images.preprocessing import Preprocessing
from facevalue.models.classifier import Classifier
from facevalue.runtime import Predictor, open_folder
from facevalue.runtime.base import Answer

from .model_folders import write_model


def with_card(folder: Path, to: Path, **changes: object) -> Predictor:
    """The same network under another card."""
    shutil.copytree(folder, to)
    ModelCard.load(to).changed(**changes).save(to)
    return open_folder(to)


def in_torch(paths: list[Path]) -> torch.Tensor:
    """Plain RGB files as (n, 3, 32, 32) in [0, 1], without facevalue's own decoding."""
    pixels = [Image.open(path).convert("RGB").resize((32, 32), Image.Resampling.BICUBIC) for path in paths]
    return torch.from_numpy(np.stack([np.asarray(s, np.float32) / 255 for s in pixels])).permute(0, 3, 1, 2)


def test_answers_are_the_classifier_s(folder: Path, classifier: Classifier, lfw: Path) -> None:
    paths = sorted(lfw.rglob("*.png"))[90:111]
    predictions = list(open_folder(folder).predict(paths, heat=True))
    x = in_torch(paths)
    with torch.no_grad():
        probabilities = classifier.probabilities(x)
        heats = classifier.heat(classifier.maps(x), probabilities.argmax(1)).numpy()
    for path, prediction, p, heat in zip(paths, predictions, probabilities.numpy(), heats, strict=True):
        assert list(prediction.probabilities) == ["face", "not-face"]
        np.testing.assert_allclose(list(prediction.probabilities.values()), p, atol=1e-5)
        assert prediction.label == prediction.leaning == ("face", "not-face")[p.argmax()]
        assert prediction.path == str(path)
        assert not prediction.abstained
        assert prediction.heat is not None
        np.testing.assert_allclose(prediction.heat, heat / max(heat.max(), 1e-12), atol=1e-4)
    assert len({prediction.label for prediction in predictions}) == 2


def test_files_folders_and_bytes_in_order(folder: Path, lfw: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for name in ("b/2.png", "b/10.PNG", "a/deep/x.jpg", "c.webp", ".hidden/y.png"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        Image.open(lfw / "face" / "face-000.png").save(tree / name, "PNG")
    (tree / "notes.txt").write_text("no image")
    one = lfw / "not-face" / "not-face-000.png"
    predictor = open_folder(str(folder))
    predictions = list(predictor.predict([str(one), tree, one.read_bytes()]))
    assert [v.path for v in predictions] == [
        str(one),
        *(str(tree / name) for name in ("a/deep/x.jpg", "b/10.PNG", "b/2.png", "c.webp")),
        None,
    ]
    assert predictions[0].probabilities == pytest.approx(predictions[-1].probabilities, abs=1e-6)
    assert predictor.predict(one)[0].probabilities == pytest.approx(predictions[0].probabilities, abs=1e-6)
    assert predictor.predict_bytes(one.read_bytes(), "-").path == "-"
    assert list(predictor.predict([])) == []
    (prediction,) = predictor.stream_named([(str(tree), tree)])
    assert prediction.error == "cannot be read: Is a directory"


def test_bad_files_are_rows_in_their_place(folder: Path, lfw: Path, tmp_path: Path) -> None:
    good = lfw / "face" / "face-000.png"
    (tmp_path / "text.jpg").write_text("no image")
    (tmp_path / "cut.png").write_bytes(good.read_bytes()[:300])
    (tmp_path / "empty.png").touch()
    bad = [tmp_path / name for name in ("text.jpg", "cut.png", "empty.png", "gone.png")]
    predictions = list(open_folder(folder).predict([path for b in bad for path in (b, good)]))
    assert [v.error is None for v in predictions] == [False, True] * 4
    assert [v.path for v in predictions[::2]] == [str(path) for path in bad]
    for prediction in predictions[::2]:
        assert prediction.label is None
        assert not prediction.abstained
        assert prediction.probabilities == {}
    assert "No such file" in (predictions[6].error or "")
    assert len({v.label for v in predictions[1::2]}) == 1


@pytest.mark.parametrize("n", [1, 7, 8, 9, 70])
def test_every_image_is_answered_once(n: int, folder: Path, lfw: Path) -> None:
    paths = sorted(lfw.rglob("*.png"))[:n]
    assert [v.path for v in open_folder(folder).stream_named((str(p), p) for p in paths)] == [
        str(path) for path in paths
    ]


@pytest.mark.parametrize("size", [1, 2, 3, 8])
def test_answers_do_not_depend_on_images_per_run(size: int, folder: Path, lfw: Path) -> None:
    paths = sorted(lfw.rglob("*.png"))[:11]
    default, other = open_folder(folder), open_folder(folder)
    other.images_per_run = size
    runs = []

    def counted(pixels: np.ndarray, heat: bool) -> list[Answer]:
        runs.append(len(pixels))
        return Predictor.answers(other, pixels, heat)

    other.answers = counted  # type: ignore[method-assign]
    assert np.allclose(other.predict_proba(paths), default.predict_proba(paths), atol=1e-6)
    assert runs == [size] * (11 // size) + [11 % size] * (11 % size > 0)


def test_inputs_are_taken_as_they_are_needed(folder: Path, lfw: Path) -> None:
    data = (lfw / "face" / "face-000.png").read_bytes()
    taken = 0

    def endless() -> Iterator[bytes]:
        nonlocal taken
        while True:
            taken += 1
            yield data

    predictions = open_folder(folder).stream(endless())
    for _ in range(50):
        next(predictions)
    predictions.close()
    assert taken < 150


def test_memory_is_flat(folder: Path, lfw: Path) -> None:
    data = (lfw / "face" / "face-000.png").read_bytes()
    predictor = open_folder(folder)

    def peak(n: int) -> int:
        tracemalloc.start()
        for _ in predictor.stream(data for _ in range(n)):
            pass
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(50)
    assert peak(1000) < peak(100) + 200_000


def test_threshold_decides_not_the_larger_probability(folder: Path, lfw: Path, tmp_path: Path) -> None:
    """At 0.7, a 0.65 for the positive class is the other class (trap 8)."""
    plain = list(open_folder(folder).predict(lfw / "face"))
    threshold = 0.7
    write_model(tmp_path / "m", threshold=threshold)
    strict = open_folder(tmp_path / "m")
    moved = 0
    for before, prediction in zip(plain, strict.predict(lfw / "face"), strict=True):
        p = before.probabilities["face"]
        assert prediction.label == ("face" if p >= threshold else "not-face")
        assert prediction.confidence == pytest.approx(p if p >= threshold else 1 - p, abs=1e-5)
        assert prediction.threshold == threshold
        moved += before.label != prediction.label
    assert moved


def test_abstains_when_novel_or_uncertain(folder: Path, classifier: Classifier, lfw: Path, tmp_path: Path) -> None:
    paths = sorted((lfw / "face").iterdir())[:40]
    x = in_torch(paths)
    with torch.no_grad():
        distance = classifier.novelty(classifier.features(x)).numpy()
        sure = classifier.probabilities(x).amax(1).numpy()
    limit, confidence = float(np.median(distance)) + 1e-6, float(np.median(sure)) + 1e-6
    predictor = with_card(folder, tmp_path / "m", abstention=Abstention(confidence=confidence, novelty=limit))
    predictions = list(predictor.predict(paths))
    for prediction, far, p in zip(predictions, distance, sure, strict=True):
        wanted = {*(["novel"] if far > limit else []), *(["uncertain"] if p < confidence else [])}
        assert set(prediction.reasons) == wanted
        assert prediction.novelty == pytest.approx(far / limit, rel=1e-3)
        assert prediction.abstained == bool(wanted)
        assert prediction.label == (None if wanted else prediction.leaning)
    assert len({prediction.reasons for prediction in predictions}) >= 3


def test_more_than_two_classes(lfw: Path, tmp_path: Path) -> None:
    write_model(tmp_path / "m", "small-cnn", classes=("a", "b", "c"))
    predictor = open_folder(tmp_path / "m")
    assert not predictor.has_heat
    for prediction in predictor.predict(lfw / "face", heat=True):
        assert prediction.label == max(prediction.probabilities, key=lambda name: prediction.probabilities[name])
        assert sum(prediction.probabilities.values()) == pytest.approx(1, abs=1e-5)
        assert prediction.threshold is None
        assert prediction.heat is None
        assert prediction.novelty is None


def test_pixel_limit(folder: Path, lfw: Path) -> None:
    (prediction,) = open_folder(folder, max_pixels=100).predict(lfw / "face" / "face-000.png")
    assert prediction.error == "has 25 x 25 pixels, more than the 100 allowed"


def corrupted(folder: Path, what: str) -> None:
    if what == "gone":
        shutil.rmtree(folder)
    elif what == "altered":
        (folder / ONNX).write_bytes((folder / ONNX).read_bytes() + b"\0")
    elif what == "missing":
        (folder / ONNX).unlink()
    elif what == "card":
        (folder / CARD).write_text("{")
    else:
        from facevalue.support import files

        content = {"not onnx": b"no network", "cut": (folder / ONNX).read_bytes()[:5000]}[what]
        (folder / ONNX).write_bytes(content)
        card = ModelCard.load(folder)
        card.changed(files={**card.files, ONNX: files.sha256(folder / ONNX)}).save(folder)


@pytest.mark.parametrize("what", ["gone", "altered", "missing", "card", "not onnx", "cut"])
def test_a_broken_folder_is_one_error_line(what: str, folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "m")
    corrupted(tmp_path / "m", what)
    with pytest.raises(ModelFolderError) as caught:
        open_folder(tmp_path / "m")
    assert str(tmp_path / "m") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_network_for_another_size_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match="not a network for 64 x 64"):
        with_card(folder, tmp_path / "m", preprocessing=Preprocessing(size=64))
