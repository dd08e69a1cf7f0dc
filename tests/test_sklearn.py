"""The scikit-learn face: in its own searches and scores, with paths, arrays and labels of any kind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score

from facevalue.errors import UsageError
from facevalue.sklearn import ImageClassifier

TINY = {"network.options": {"widths": [8, 16]}, "fit.patience": 0, "optimizer.lr": 3e-3}


@pytest.fixture(scope="module")
def paths(lfw: Path) -> np.ndarray:
    return np.array([str(path) for path in sorted(lfw.rglob("*.png"))])


@pytest.fixture(scope="module")
def labels(paths: np.ndarray) -> np.ndarray:
    return np.array([Path(path).parent.name for path in paths])


@pytest.fixture(scope="module")
def fitted(paths: np.ndarray, labels: np.ndarray) -> ImageClassifier:
    return ImageClassifier("scratch", size=24, epochs=4, settings=TINY).fit(paths, labels)


def test_it_fits_predicts_and_scores(fitted: ImageClassifier, paths: np.ndarray, labels: np.ndarray) -> None:
    assert fitted.classes_.tolist() == ["face", "not-face"]
    p = fitted.predict_proba(paths[:7])
    assert p.shape == (7, 2)
    assert np.allclose(p.sum(1), 1)
    decided = fitted.predict(paths)
    assert fitted.score(paths, labels) == np.mean(decided == labels) > 0.6


def test_paths_and_arrays_give_the_same(fitted: ImageClassifier, paths: np.ndarray, labels: np.ndarray) -> None:
    arrays = np.stack([np.asarray(Image.open(path).convert("RGB")) for path in paths])
    assert np.array_equal(fitted.predict_proba(arrays[:5]), fitted.predict_proba(paths[:5]))


def test_labels_may_be_numbers_in_any_order(paths: np.ndarray, labels: np.ndarray) -> None:
    numbers = np.where(labels == "face", 10, 2)
    model = ImageClassifier("scratch", size=24, epochs=4, settings=TINY).fit(paths, numbers)
    assert model.classes_.tolist() == [2, 10]
    decided = model.predict(paths)
    assert decided.dtype == numbers.dtype
    assert model.score(paths, numbers) > 0.6
    assert np.array_equal(decided == 10, model.predict_proba(paths)[:, 1] >= 0.5)


def test_searches_and_cross_validation(paths: np.ndarray, labels: np.ndarray) -> None:
    model = ImageClassifier("scratch", size=16, epochs=1, settings=TINY)
    scores = cross_val_score(model, paths, labels, cv=2, scoring="roc_auc")
    assert scores.shape == (2,)
    assert np.isfinite(scores).all()
    search = GridSearchCV(model, {"epochs": [1, 2]}, cv=2, error_score="raise").fit(paths, labels)
    assert search.best_params_["epochs"] in (1, 2)
    assert search.predict(paths[:3]).shape == (3,)


def test_wrong_use_is_an_error(paths: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(NotFittedError):
        ImageClassifier().predict(paths)
    with pytest.raises(UsageError, match="at least two classes"):
        ImageClassifier().fit(paths, ["face"] * len(paths))


def test_an_image_that_cannot_be_read_has_no_class(fitted: ImageClassifier, tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_text("no image")
    with pytest.raises(UsageError, match="1 of 1 images cannot be read"):
        fitted.predict([str(tmp_path / "bad.jpg")])
