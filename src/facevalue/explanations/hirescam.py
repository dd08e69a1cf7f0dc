"""HiResCAM: each place of the last feature maps, weighted by its own gradient."""

from __future__ import annotations

from typing import ClassVar, final

from torch import Tensor

from facevalue.explanations.class_activation import ClassActivation


@final
class HiResCam(ClassActivation):
    """HiResCAM (Draelos & Carin 2020, arXiv:2011.08891).

    Where the layers after the maps are linear, the heat sums to the logit less its bias, so it shows exactly the places
    that the network used. For a network that ends in average pooling it equals Grad-CAM up to a positive factor.
    """

    name: ClassVar[str] = "hirescam"
    paper: ClassVar[str] = "Draelos & Carin 2020, arXiv:2011.08891"
    averages: ClassVar[bool] = False

    def weigh(self, maps: Tensor, gradients: Tensor) -> Tensor:
        return (gradients * maps).sum(1)
