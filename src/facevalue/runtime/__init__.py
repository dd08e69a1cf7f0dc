"""Use a model folder without torch and pandas."""

from facevalue.runtime.predictor import Predictor, open_folder

__all__ = ["Predictor", "open_folder"]
