"""Explanation methods. To add one, write one small file and one line in :data:`EXPLANATIONS`."""

from __future__ import annotations

from facevalue.explanations.base import ExplainedImage, Explanation, Heat, Method, Written
from facevalue.explanations.feature_maps import FeatureMaps
from facevalue.explanations.gradcam import GradCam
from facevalue.support.registry import look_up

__all__ = [
    "EXPLANATIONS",
    "ExplainedImage",
    "Explanation",
    "FeatureMaps",
    "GradCam",
    "Heat",
    "Method",
    "Written",
    "find",
]

EXPLANATIONS: dict[str, Method] = {"gradcam": GradCam(), "feature-maps": FeatureMaps()}


def find(name: str) -> Method:
    """The method of this name.

    Raises
    ------
    UsageError
        There is none; the message lists the known names.
    """
    return look_up(EXPLANATIONS, name, "method")
