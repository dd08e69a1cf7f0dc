"""Grad-CAM: the last feature maps, weighted by the gradient of the class's logit."""

from __future__ import annotations

from typing import ClassVar, final

from torch import Tensor

from facevalue.errors import UsageError
from facevalue.explanations.base import Explanation
from facevalue.models.classifier import Classifier


@final
class GradCam(Explanation):
    """Grad-CAM (Selvaraju et al. 2017, arXiv:1610.02391), computed by captum at the network's ``cam_layer``.

    For a network that ends in average pooling and a linear layer it equals ``Classifier.heat`` up to a positive factor.
    """

    name: ClassVar[str] = "gradcam"
    paper: ClassVar[str] = "Selvaraju et al. 2017, arXiv:1610.02391"

    def run(self, classifier: Classifier, x: Tensor, target: Tensor) -> Tensor:
        """(n, h, w) non-negative heat in the size of the last feature maps."""
        if not classifier.body.spatial:
            raise UsageError(
                f"gradcam needs feature maps, and {classifier.card.network.name} has none (its layers hold tokens or "
                "vectors); choose a convolutional network or another `method`"
            )
        from captum.attr import LayerGradCam

        method = LayerGradCam(classifier, classifier.body.cam_layer)
        heat: Tensor = method.attribute(x, target, relu_attributions=True)
        return heat.squeeze(1)
