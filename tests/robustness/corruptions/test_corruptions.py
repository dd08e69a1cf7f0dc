"""Everyday corruptions: what each does, over all of them, and a model on corrupted images."""

from __future__ import annotations

import io
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from skimage.data import astronaut

import facevalue as fv
from facevalue.evidence.card import ModelCard
from facevalue.evidence.records import CorruptionReport
from facevalue.robustness.corruptions import CORRUPTIONS, corrupted

each = pytest.mark.parametrize("name", list(CORRUPTIONS))


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    return Image.fromarray(astronaut()).resize((256, 300))


@each
def test_gives_a_new_image_that_is_the_same_every_time(name: str, photo: Image.Image) -> None:
    before = photo.tobytes()
    for strength in CORRUPTIONS[name].strengths:
        first = corrupted(photo, CORRUPTIONS[name], strength, seed=1)
        assert first.mode == "RGB"
        assert first.tobytes() == corrupted(photo, CORRUPTIONS[name], strength, seed=1).tobytes()
        assert min(first.size) >= 8
    assert photo.tobytes() == before
    assert corrupted(Image.new("RGB", (1, 1)), CORRUPTIONS[name], CORRUPTIONS[name].strengths[-1]).size >= (1, 1)


@each
def test_is_worse_the_stronger_it_is(name: str, photo: Image.Image) -> None:
    small = np.asarray(photo.resize((64, 64)), float)
    harm = [
        np.abs(np.asarray(corrupted(photo, CORRUPTIONS[name], s).resize((64, 64)), float) - small).mean()
        for s in CORRUPTIONS[name].strengths
    ]
    assert harm[0] > 0
    # Resampling by an odd share can harm a little less than by an even one.
    assert all(b > 0.8 * a for a, b in pairwise(harm))
    assert harm[-1] > 1.5 * harm[0]


def apply(name: str, image: Image.Image, strength: float) -> np.ndarray:
    return np.asarray(corrupted(image, CORRUPTIONS[name], strength), float)


def test_each_does_what_its_strength_says(photo: Image.Image) -> None:
    values = np.asarray(photo, float)
    assert apply("resize", photo, 0.5).shape == (150, 128, 3)
    assert apply("crop", photo, 0.8).shape == (240, 205, 3)
    assert np.array_equal(apply("brightness-up", photo, 2), np.minimum(2 * values, 255))
    buffer = io.BytesIO()
    photo.save(buffer, "JPEG", quality=30)
    assert np.array_equal(apply("jpeg", photo, 30), np.asarray(Image.open(buffer), float))
    grey = Image.new("RGB", (200, 200), (128, 128, 128))
    assert apply("noise", grey, 20).std() == pytest.approx(20, rel=0.02)
    # Pillow's blur is three boxes, near a Gaussian.
    expected = ndimage.gaussian_filter(values, (2, 2, 0), mode="nearest")
    assert np.abs(apply("blur", photo, 2) - expected).mean() < 1
    window = apply("screenshot", photo, 3)
    edge = round(0.1 * round(0.6 * 256))
    assert window.shape == (180 + 3 * edge, 154 + 2 * edge, 3)
    assert window[:edge, :].mean() < 80
    assert window[-edge // 2 :, :].mean() > 200


def test_crops_fall_anywhere_and_another_seed_crops_elsewhere(photo: Image.Image) -> None:
    crops = {corrupted(photo, CORRUPTIONS["crop"], 0.6, seed=s).tobytes() for s in range(5)}
    assert len(crops) == 5


def test_a_model_on_corrupted_images(lfw: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    small = {"network.options": {"widths": [8, 16]}, "fit.patience": 0, "optimizer.lr": 5e-3}
    fv.train(lfw, model, recipe="scratch", size=24, epochs=8, settings=small)
    report = fv.evaluate_corruptions(model, lfw, plot=tmp_path / "corruption.png")
    assert len(report.results) == sum(len(c.strengths) for c in CORRUPTIONS.values())
    test = ModelCard.load(model).evaluation("test")
    assert test is not None
    assert (report.n, report.clean_accuracy, report.split) == (test.n, test.accuracy, "test")
    assert 0.5 <= report.mean_accuracy <= report.clean_accuracy + 0.02
    by_kind = {name: [r.accuracy for r in report.results if r.corruption == name] for name in CORRUPTIONS}
    assert report.mean_accuracy == pytest.approx(np.mean([np.mean(v) for v in by_kind.values()]))
    assert all(r.accuracy_ci[0] <= r.accuracy <= r.accuracy_ci[1] for r in report.results)
    assert (tmp_path / "corruption.png").stat().st_size > 10_000
    kept = [e for e in ModelCard.load(model).evidence if isinstance(e, CorruptionReport)]
    assert [e.results for e in kept] == [report.results]
    few, again = (fv.evaluate_corruptions(model, lfw, limit=6, save=False) for _ in range(2))
    assert few.n == 6
    assert again.results == few.results
