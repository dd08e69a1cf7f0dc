"""The base class of class activation maps: feature maps, weighted by the gradient of the class's logit."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, final

import torch
from torch import Tensor

from facevalue.explanations.base import Explanation
from facevalue.models.classifier import Classifier


class ClassActivation(Explanation, ABC):
    """A method that weighs the last feature maps, or the image tokens of a vision transformer.

    Implement :meth:`weigh`. The layer comes from the network's record: the maps before the head, or the layer of its
    :class:`~facevalue.models.networks.base.Tokens`.
    """

    averages: ClassVar[bool]
    """Whether a channel gets one weight for all positions."""

    @abstractmethod
    def weigh(self, maps: Tensor, gradients: Tensor) -> Tensor:
        """(n, h, w) heat from maps (n, c, h, w) and the gradients of the class's logit by them."""

    @final
    def refusal(self, classifier: Classifier) -> str | None:
        body, network = classifier.body, classifier.card.network.name
        if not body.spatial and body.tokens is None:
            return (
                f"{self.name} needs feature maps, and {network} has none (its layers hold vectors, or tokens in an "
                "order that is not known); choose another `method`: integrated-gradients and occlusion explain every "
                "network"
            )
        if self.averages and body.centred:
            return (
                f"{self.name} gives each channel one weight, and {network} subtracts the mean of each channel, which "
                "leaves no such weights; choose hirescam as `method`"
            )
        return None

    @final
    def run(self, classifier: Classifier, x: Tensor, target: Tensor) -> Tensor:
        """(n, h, w) heat in the size of the maps, or of the grid of tokens."""
        return self.weigh(*maps_and_gradients(classifier, x, target))


def maps_and_gradients(classifier: Classifier, x: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """(n, c, h, w) maps of the network's last layer, and the gradients of the logit of ``target`` (n,) by them."""
    body, tokens = classifier.body, classifier.body.tokens
    if tokens is None:
        maps = classifier.maps(x)
        return maps.detach(), _gradient(body.head(body.embed(maps)), target, maps)
    seen: list[Tensor] = []
    hook = tokens.layer.register_forward_hook(lambda _module, _arguments, output: seen.append(output))
    try:
        logits = classifier.logits(x)
    finally:
        hook.remove()
    found, gradient = seen[0], _gradient(logits, target, seen[0])

    def as_maps(values: Tensor) -> Tensor:
        return values[:, tokens.prefix :].transpose(1, 2).reshape(len(values), -1, *tokens.grid)

    return as_maps(found.detach()), as_maps(gradient)


def _gradient(logits: Tensor, target: Tensor, by: Tensor) -> Tensor:
    # In eval mode no image depends on another, so the gradient of the sum holds that of each image.
    (gradient,) = torch.autograd.grad(logits.gather(1, target.unsqueeze(1)).sum(), by)
    return gradient
