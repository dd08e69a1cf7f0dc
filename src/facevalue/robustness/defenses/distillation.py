"""A distilled model as a blind attack sees it: through its probabilities instead of its logits.

Defensive distillation (Papernot et al. 2016, arXiv:1511.04508) trains a network at a high temperature and uses it at
1. Its logits are larger by that factor, so in float32 nearly every probability is exactly 0 or 1, and the gradient of
the probabilities is 0. Attacks on the logits still work (Carlini & Wagner 2017, arXiv:1608.04644).
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
    """A body whose features are the softmax of ``inner`` at temperature 1, with an identity head."""

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
    """A classifier whose logits are the probabilities of ``classifier`` at temperature 1.

    Gradient attacks on it fail where the softmax is saturated, which made defensive distillation look like a defence.
    """
    inner = copy.deepcopy(classifier)
    card = classifier.card.changed(temperature=1.0, network=classifier.card.network.changed(pooled=False))
    return Classifier(_Saturated(inner.body), card, classifier.gate).to(inner.mean.device).train(classifier.training)
