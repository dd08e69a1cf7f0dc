"""A model made once, small and really trained, for every test of the verbs."""

from pathlib import Path

import pytest

import facevalue as fv
from facevalue.models.classifier import Classifier


@pytest.fixture(scope="session")
def tiny() -> dict[str, object]:
    """Settings that train in seconds."""
    return {"network.options": {"widths": [8, 16]}, "fit.patience": 0, "optimizer.lr": 3e-3}


@pytest.fixture(scope="session")
def made(lfw: Path, tiny: dict[str, object], tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    """A small-resnet trained for six epochs at 24 px on the embedded set."""
    folder = tmp_path_factory.mktemp("made") / "model"
    return fv.train(lfw, folder, recipe="scratch", size=24, epochs=6, settings=tiny)
