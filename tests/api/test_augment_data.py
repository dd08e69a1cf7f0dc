"""The sheet of changed images shows what training sees."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import facevalue
from facevalue.api.data.augment import CELL, switched_on
from facevalue.errors import UsageError
from facevalue.explanations.overlay import MARGIN
from facevalue.training.settings import AugmentSettings

FLIP = {"augment": {"flip": True}, "network.size": CELL}


def cells(file: Path, rows: int, columns: int, gap: int = 4) -> list[list[np.ndarray]]:
    whole = np.asarray(Image.open(file))
    starts = [[(MARGIN + r * (CELL + gap), MARGIN + c * (CELL + gap)) for c in range(columns)] for r in range(rows)]
    return [[whole[top : top + CELL, left : left + CELL] for top, left in row] for row in starts]


def test_each_image_stands_beside_what_training_makes_of_it(lfw: Path, tmp_path: Path) -> None:
    drawn = facevalue.augment_data(lfw, tmp_path / "a.png", settings=FLIP, rows=4, epochs=9)
    assert drawn.to_dict()["augment"] == {"flip": True}
    assert [entry["label"] for entry in drawn.to_dict()["images"]].count("face") == 2
    mirrored = 0
    for row in cells(tmp_path / "a.png", 4, 10):
        for cell in row[1:]:
            same, turned = (np.abs(cell.astype(int) - other).max() <= 1 for other in (row[0], row[0][:, ::-1]))
            assert same != turned
            mirrored += turned
    assert 6 < mirrored < 30


def test_averages_of_two_images_and_replaced_surroundings_are_drawn_too(lfw: Path, tmp_path: Path) -> None:
    for settings in ({"mixup": 10.0}, {"background": 1.0}):
        changes = {"augment": settings, "network.size": CELL}
        facevalue.augment_data(lfw, tmp_path / "b.png", settings=changes, rows=3, epochs=2)
        for row in cells(tmp_path / "b.png", 3, 3):
            assert np.abs(row[1].astype(int) - row[0]).max() > 20


def test_settings_without_effect_are_not_reported() -> None:
    assert switched_on(AugmentSettings()) == {}
    assert switched_on(AugmentSettings(flip=True, fill="plain", corruption=0.9)) == {"flip": True}
    assert switched_on(AugmentSettings(zoom=0.2, jpeg=50)) == {
        "zoom": 0.2,
        "fill": "mirror",
        "jpeg": 50,
        "corruption": 0.5,
    }


def test_a_recipe_without_augmentation_is_wrong_use_and_nothing_is_written(lfw: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="horse-or-human/cnn does not change images"):
        facevalue.augment_data(lfw, tmp_path / "c.png", recipe="horse-or-human/cnn")
    assert list(tmp_path.iterdir()) == []
