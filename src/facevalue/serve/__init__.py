"""A model folder over HTTP: an API, a page, metrics. Needs no torch."""

from facevalue.serve.settings import Settings
from facevalue.serve.start import run

__all__ = ["Settings", "run"]
