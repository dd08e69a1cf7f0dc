"""Warnings or errors for classes never predicted, exchanged labels, and too few calibration images."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import facevalue as fv
from facevalue.errors import DataError
from facevalue.evidence.card import ModelCard

SMALL = {"network.options": {"widths": [8, 16]}, "network.weights": "none"}


def plain(path: Path, level: int, seed: int) -> None:
    """Noise around a level of grey: any network can separate the darker class from the brighter one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).normal(level, 30, (32, 32, 3))
    Image.fromarray(np.clip(noise, 0, 255).astype(np.uint8)).save(path)


def table(path: Path, rows: list[tuple[Path, str]]) -> Path:
    pd.DataFrame(rows, columns=["path", "label"]).to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that separates dark from bright images, and these images beside it."""
    folder = tmp_path_factory.mktemp("doubts")
    for i in range(60):
        plain(folder / f"images/dark/{i}.png", 70, i)
        plain(folder / f"images/bright/{i}.png", 180, 1000 + i)
        plain(folder / f"others/dark/{i}.png", 70, 2000 + i)
        plain(folder / f"others/bright/{i}.png", 180, 3000 + i)
    fv.train(
        folder / "images",
        folder / "model",
        recipe="probe",
        network="small-resnet",
        size=24,
        settings=SMALL | {"split.near": -1},
    )
    report = ModelCard.load(folder / "model").evaluation("test")
    assert report is not None
    assert report.accuracy == 1
    return folder


def others(made: Path, n: int, exchanged: bool = False) -> list[tuple[Path, str]]:
    names = {"dark": "bright", "bright": "dark"} if exchanged else {"dark": "dark", "bright": "bright"}
    return [(made / f"others/{label}/{i}.png", names[label]) for label in names for i in range(n)]


@pytest.mark.parametrize("n", [(3, 2), (1, 1), (7, 7)])
def test_too_few_images_are_refused(made: Path, tmp_path: Path, n: tuple[int, int]) -> None:
    rows = others(made, 60)
    some = table(tmp_path / "few.csv", rows[: n[0]] + rows[60 : 60 + n[1]])
    with pytest.raises(DataError, match=f"{sum(n)} different images are too few to calibrate on"):
        fv.calibrate(made / "model", some, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_copies_of_one_image_are_one_image(made: Path, tmp_path: Path) -> None:
    data = {label: (made / f"others/{label}/0.png").read_bytes() for label in ("dark", "bright")}
    for label, one in data.items():
        for i in range(40):
            path = tmp_path / f"copies/{label}/{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(one)
    with pytest.raises(DataError, match="2 different images are too few"):
        fv.calibrate(made / "model", tmp_path / "copies", tmp_path / "out")


def test_exchanged_labels_are_refused_and_named_when_judged(made: Path, tmp_path: Path) -> None:
    wrong = table(tmp_path / "wrong.csv", others(made, 14, exchanged=True))
    with pytest.raises(DataError, match=r"labels seem exchanged: 0 of 28 .*Correct the labels"):
        fv.calibrate(made / "model", wrong, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    warnings = fv.evaluate(made / "model", wrong, save=False).warnings
    assert any("labels seem exchanged" in str(warning) for warning in warnings)


def test_random_labels_are_a_warning(made: Path, tmp_path: Path, notes: list[str]) -> None:
    rows = others(made, 20)
    drawn = [(path, ("dark", "bright")[(i // 2) % 2]) for i, (path, _) in enumerate(rows)]
    fv.calibrate(made / "model", table(tmp_path / "lot.csv", drawn), tmp_path / "out")
    assert any("is no better than chance (20 right)" in note for note in notes)


def test_enough_images_give_no_warning(made: Path, tmp_path: Path, notes: list[str]) -> None:
    fv.calibrate(made / "model", table(tmp_path / "m.csv", others(made, 60)), tmp_path / "out")
    assert not [note for note in notes if note.startswith("warning")]
    notes.clear()
    fv.calibrate(made / "model", table(tmp_path / "m.csv", others(made, 20)), tmp_path / "some")
    (told,) = [note for note in notes if note.startswith("warning")]
    assert "calibrated on 40 different images only" in told


def test_a_rare_class_that_is_never_predicted(tmp_path: Path, fill: Callable[..., Path], notes: list[str]) -> None:
    fill(tmp_path / "images", "usual", n=90)
    fill(tmp_path / "images", "rare", n=9, first=5000)
    model = fv.train(
        tmp_path / "images", tmp_path / "model", recipe="probe", network="small-resnet", size=24, settings=SMALL
    )
    told = "class 'rare' is never predicted"
    assert any(note.startswith("warning: ") and told in note for note in notes)
    report = fv.evaluate(tmp_path / "model", tmp_path / "images", split="test")
    assert any(told in str(warning) for warning in report.warnings)
    assert told.replace("'", "&#39;") in (tmp_path / "model/report.html").read_text()
    assert any(told in str(warning) for warning in model.card.evaluation("test").warnings)
