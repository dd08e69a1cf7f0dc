"""A scikit-learn estimator that works in ``cross_val_score``, ``GridSearchCV`` and pipelines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from facevalue.api.train import train
from facevalue.data.dataset import ImageDataset
from facevalue.errors import UsageError
from facevalue.images.sources import Images
from facevalue.models.classifier import Classifier
from facevalue.training.recipe import Setting

__all__ = ["ImageClassifier"]


@final
class ImageClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc] # scikit-learn has no types
    """:func:`facevalue.train` as a scikit-learn estimator, in memory.

    ``fit`` splits its images by ``groups`` into train, validation, calibration and test. The parameters are those of
    :func:`facevalue.train`.

    Attributes
    ----------
    classes_ : (k,) class names, in the order of ``predict_proba``'s columns.
    model_ : the fitted :class:`~facevalue.Classifier`, with its card.

    Examples
    --------
    >>> from facevalue.sklearn import ImageClassifier
    >>> ImageClassifier(recipe="scratch", size=32).get_params()["size"]
    32
    """

    def __init__(
        self,
        recipe: str = "probe",
        *,
        network: str | None = None,
        weights: str | None = None,
        size: int | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        lr: float | None = None,
        seed: int | None = None,
        settings: Mapping[str, Setting] | None = None,
    ) -> None:
        self.recipe = recipe
        self.network = network
        self.weights = weights
        self.size = size
        self.epochs = epochs
        self.batch_size = batch_size
        self.lr = lr
        self.seed = seed
        self.settings = settings

    def fit(self, X: Images, y: ArrayLike | Sequence[str], groups: Sequence[object] | None = None) -> ImageClassifier:  # noqa: N803 - scikit-learn's name
        """Train on images.

        Parameters
        ----------
        X : (n,) paths, or arrays (n, h, w, 3) uint8, or whatever :meth:`facevalue.ImageDataset.from_arrays` takes.
        y : (n,) class names or numbers.
        groups : (n,) images with equal values stay in one of the splits that ``fit`` makes.
        """
        labels = np.asarray(y)
        self.classes_: NDArray[Any] = np.unique(labels)
        if len(self.classes_) < 2:
            raise UsageError("a classifier needs at least two classes, but y has one")
        data = ImageDataset.from_arrays(X, [str(label) for label in labels.tolist()], groups=groups)
        self.model_: Classifier = train(
            data,
            recipe=self.recipe,
            network=self.network,
            weights=self.weights,
            size=self.size,
            epochs=self.epochs,
            batch_size=self.batch_size,
            lr=self.lr,
            seed=self.seed,
            settings=self.settings,
        )
        return self

    def predict_proba(self, X: Images) -> NDArray[np.float64]:  # noqa: N803
        """(n, k) calibrated probabilities, in the order of ``classes_``."""
        check_is_fitted(self, "model_")
        order = [self.model_.classes.index(str(label)) for label in self.classes_.tolist()]
        probabilities: NDArray[np.float64] = self.model_.predict_proba(X)[:, order]
        return probabilities

    def predict(self, X: Images) -> NDArray[Any]:  # noqa: N803
        """(n,) predicted classes, also where the model would abstain, because scikit-learn's scores need a class."""
        check_is_fitted(self, "model_")
        known = {str(label): label for label in self.classes_.tolist()}
        leaning = [prediction.leaning for prediction in self.model_.stream(X)]
        bad = leaning.count(None)
        if bad:
            raise UsageError(f"{bad} of {len(leaning)} images cannot be read, so they have no class")
        return np.array([known[str(label)] for label in leaning])
