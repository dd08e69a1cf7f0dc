"""The heat that ``model.onnx`` holds: predictions, the server and the browser show this one."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Tensor

from facevalue.explanations.base import Explanation
from facevalue.models.classifier import Classifier


@final
class GraphHeat(Explanation):
    """Class activation map (Zhou et al. 2016, arXiv:1512.04150), computed as inside ``model.onnx``.

    One forward pass, no gradient. Only for networks that end in average pooling and a linear layer.
    """

    name: ClassVar[str] = "heat"
    paper: ClassVar[str] = "Zhou et al. 2016, arXiv:1512.04150"

    def refusal(self, classifier: Classifier) -> str | None:
        if classifier.body.pooled:
            return None
        return (
            f"heat needs a network that ends in average pooling and a linear layer, and {classifier.card.network.name} "
            "does not; choose another `method`: hirescam, or occlusion, which explains every network"
        )

    def run(self, classifier: Classifier, x: Tensor, target: Tensor) -> Tensor:
        """(n, h, w) non-negative heat in the size of the last feature maps."""
        with torch.no_grad():
            return classifier.heat(classifier.maps(x), target)
