"""What an attacker sees who climbs the probabilities of a model and not its logits.

Defensive distillation (Papernot et al. 2016, arXiv:1511.04508) trains a network at a high temperature and uses it at
1: its logits grow by that factor, the softmax of nearly every image is exactly 0 or 1 in float32, and the gradient of
what it says is exactly 0. Nothing else is gained: Carlini & Wagner 2017, arXiv:1608.04644, climb the logits.
"""

from __future__ import annotations

import copy
from typing import final

import torch
from torch import Tensor, nn

from facevalue.models.classifier import Classifier
from facevalue.models.networks.base import Body, new_head


@final
class _Saturated(Body):
    """A body whose features are its own softmax at temperature 1, and whose head hands them on."""

    def __init__(self, inner: Body) -> None:
        super().__init__()
        self.inner = inner
        self.pooled, self.spatial = False, inner.spatial
        k = inner.head.out_features
        self.head = new_head(k, k)
        with torch.no_grad():
            self.head.weight.copy_(torch.eye(k))
            self.head.bias.zero_()

    def maps(self, x: Tensor) -> Tensor:
        return self.inner.maps(x)

    def embed(self, maps: Tensor) -> Tensor:
        return torch.softmax(self.inner.head(self.inner.embed(maps)), dim=1)

    def stages(self) -> list[nn.Module]:
        return self.inner.stages()

    @property
    def cam_layer(self) -> nn.Module:
        return self.inner.cam_layer


def through_softmax(classifier: Classifier) -> Classifier:
    """A classifier whose logits are the probabilities that this one gives at temperature 1.

    Attacks that climb it are blind where the softmax is saturated: what they find is the figure that made defensive
    distillation look like a defence.
    """
    inner = copy.deepcopy(classifier)
    card = classifier.card.changed(temperature=1.0, network=classifier.card.network.changed(pooled=False))
    return Classifier(_Saturated(inner.body), card).to(inner.mean.device).train(classifier.training)
