"""Grad-CAM++: as Grad-CAM, but positions count by how strongly they support the class."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Tensor

from facevalue.explanations.class_activation import ClassActivation


@final
class GradCamPlusPlus(ClassActivation):
    """Grad-CAM++ (Chattopadhay et al. 2018, arXiv:1710.11063), for the exponential of the class's logit.

    Its weights stay large where a class is seen in a small part of the image, or several times.
    """

    name: ClassVar[str] = "gradcam++"
    paper: ClassVar[str] = "Chattopadhay et al. 2018, arXiv:1710.11063"
    averages: ClassVar[bool] = True

    def weigh(self, maps: Tensor, gradients: Tensor) -> Tensor:
        # Equation 19 of the paper. The exponential is a common factor of all derivatives: it cancels in `alpha`, and
        # scales the heat of an image by one number.
        squares = gradients.square()
        below = 2 * squares + (maps.sum((2, 3), keepdim=True) * gradients.pow(3))
        alpha = torch.where(below != 0, squares / torch.where(below != 0, below, 1.0), 0.0)
        weights = (alpha * gradients.relu()).sum((2, 3))
        return torch.einsum("nc,nchw->nhw", weights, maps).relu()
