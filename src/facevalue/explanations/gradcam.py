"""Grad-CAM: the last feature maps, weighted by the mean gradient of the class's logit."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Tensor

from facevalue.explanations.class_activation import ClassActivation


@final
class GradCam(ClassActivation):
    """Grad-CAM (Selvaraju et al. 2017, arXiv:1610.02391).

    For a network that ends in average pooling and a linear layer it equals ``Classifier.heat`` up to a positive factor.
    """

    name: ClassVar[str] = "gradcam"
    paper: ClassVar[str] = "Selvaraju et al. 2017, arXiv:1610.02391"
    averages: ClassVar[bool] = True

    def weigh(self, maps: Tensor, gradients: Tensor) -> Tensor:
        return torch.einsum("nc,nchw->nhw", gradients.mean((2, 3)), maps).relu()
