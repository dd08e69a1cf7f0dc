"""Calibration methods: from logits to probabilities. To add one, write one small file and one line in ``METHODS``."""

from __future__ import annotations

from facevalue.models.calibration.base import CalibrationMethod, LogOddsMap, Parameters
from facevalue.models.calibration.beta import Beta
from facevalue.models.calibration.isotonic import Isotonic
from facevalue.models.calibration.temperature import Temperature
from facevalue.models.calibration.vector import VectorScaling
from facevalue.models.calibration.venn_abers import VennAbers
from facevalue.support.registry import look_up

__all__ = ["METHODS", "CalibrationMethod", "LogOddsMap", "Parameters", "find"]

METHODS: dict[str, CalibrationMethod] = {
    method.name: method for method in (Temperature(), VectorScaling(), Beta(), Isotonic(), VennAbers())
}


def find(name: str) -> CalibrationMethod:
    """The calibration method of this name.

    Raises
    ------
    UsageError
        There is none; the message lists the known names.
    """
    return look_up(METHODS, name, "calibration method")
