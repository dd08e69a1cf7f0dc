"""Each image is decoded once for a training, however often it is looked at."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import facevalue as fv
from facevalue.images.preprocessing import Preprocessing
from facevalue.images.sources import ImageInput


@pytest.mark.parametrize(
    ("recipe", "more"),
    [
        ("finetune", {"epochs": 2, "weights": "none"}),
        ("scratch", {"epochs": 3}),
        ("probe", {"weights": "none", "settings": {"probe.copies": 2, "augment.flip": True}}),
    ],
)
def test_decoded_once(recipe: str, more: dict[str, Any], lfw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: Counter[str] = Counter()
    plain = Preprocessing.of

    def counted(self: Preprocessing, image: ImageInput, *rest: Any) -> Any:
        if isinstance(image, Path):  # not the images that training draws
            decoded[str(image)] += 1
        return plain(self, image, *rest)

    monkeypatch.setattr(Preprocessing, "of", counted)
    fv.train(lfw, recipe=recipe, network="small-cnn", size=24, **more)
    assert len(decoded) == 200
    assert set(decoded.values()) == {1}
