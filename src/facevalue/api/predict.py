"""``predict``: predictions for images."""

from __future__ import annotations

from pathlib import Path

from facevalue.images.sources import Images
from facevalue.models.classifier import Classifier
from facevalue.runtime import open_folder
from facevalue.types import Prediction


def predict(model: Classifier | Path | str, images: Images, *, heat: bool = False) -> list[Prediction]:
    """Predictions for images, in order; ``facevalue.open(folder).stream`` gives them one by one.

    Parameters
    ----------
    model : a classifier, or a model folder, whose ``model.onnx`` is used.
    images : one image or many, each a path, the bytes of a file, a Pillow image, or a uint8 array (h, w, 3) RGB or
        (h, w) grey. A folder means all image files below it, sorted.
        heat : also return :attr:`~facevalue.types.Prediction.heat`, if the network supports it.
    """
    predictor = model if isinstance(model, Classifier) else open_folder(model)
    return predictor.predict(images, heat=heat)
