"""Explanation methods. To add one, write one small file and one line in :data:`EXPLANATIONS`."""

from __future__ import annotations

from facevalue.explanations.attention_rollout import AttentionRollout
from facevalue.explanations.base import ExplainedImage, Explanation, Heat, Method, Written
from facevalue.explanations.feature_maps import FeatureMaps
from facevalue.explanations.gradcam import GradCam
from facevalue.explanations.gradcam_plus_plus import GradCamPlusPlus
from facevalue.explanations.heat import GraphHeat
from facevalue.explanations.hirescam import HiResCam
from facevalue.explanations.integrated_gradients import IntegratedGradients
from facevalue.explanations.method_sheet import MethodSheet
from facevalue.explanations.occlusion import Occlusion
from facevalue.support.registry import look_up

__all__ = [
    "EXPLANATIONS",
    "AttentionRollout",
    "ExplainedImage",
    "Explanation",
    "FeatureMaps",
    "GradCam",
    "GradCamPlusPlus",
    "GraphHeat",
    "Heat",
    "HiResCam",
    "IntegratedGradients",
    "Method",
    "MethodSheet",
    "Occlusion",
    "Written",
    "find",
]

EXPLANATIONS: dict[str, Method] = {
    method.name: method
    for method in (
        GradCam(),
        GradCamPlusPlus(),
        HiResCam(),
        GraphHeat(),
        IntegratedGradients(),
        Occlusion(),
        AttentionRollout(),
        FeatureMaps(),
    )
}


def find(name: str) -> Method:
    """The method of this name.

    Raises
    ------
    UsageError
        There is none; the message lists the known names.
    """
    return look_up(EXPLANATIONS, name, "method")
