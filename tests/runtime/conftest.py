from __future__ import annotations

from pathlib import Path

import pytest

from facevalue.models.classifier import Classifier

from .model_folders import write_model


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Classifier]:
    folder = tmp_path_factory.mktemp("model") / "model"
    return folder, write_model(folder)


@pytest.fixture(scope="session")
def folder(written: tuple[Path, Classifier]) -> Path:
    return written[0]


@pytest.fixture(scope="session")
def classifier(written: tuple[Path, Classifier]) -> Classifier:
    return written[1]
