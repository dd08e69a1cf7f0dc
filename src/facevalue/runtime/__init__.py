"""Using a model folder: no torch, no pandas."""

from facevalue.runtime.predictor import Predictor, open_folder

__all__ = ["Predictor", "open_folder"]
