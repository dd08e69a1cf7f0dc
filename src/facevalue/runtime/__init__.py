"""Using a model folder without the workshop: no torch, no pandas."""

from facevalue.runtime.predictor import Predictor, open_folder

__all__ = ["Predictor", "open_folder"]
