"""Inception v3: the complete network, and a version cut after its seventh mixed block with a dense head."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from facevalue.images.preprocessing import Preprocessing
from facevalue.models.networks import torchvision_ready
from facevalue.models.networks.base import Body, Network, new_head
from facevalue.models.networks.timm_body import TimmBody, top_stages

HALF = (0.5, 0.5, 0.5)


class InceptionMixed7(Body):
    """Inception v3 to ``Mixed_6e`` (the ``mixed7`` of Keras, 768 channels), flatten, dense 1024, dropout, output."""

    pooled = False

    def __init__(self, classes: int, size: int, dense: int, dropout: float) -> None:
        super().__init__()
        torchvision_ready.ready()
        import timm

        whole = timm.create_model("inception_v3", num_classes=0, aux_logits=False)
        self.model = nn.Sequential()
        for name, child in whole.named_children():
            self.model.add_module(name, child)
            if name == "Mixed_6e":
                break
        was_training = self.model.training
        self.model.eval()
        with torch.no_grad():
            width = self.model(torch.zeros(1, 3, size, size)).numel()
        self.model.train(was_training)
        self.dense = nn.Sequential(nn.Flatten(), nn.Linear(width, dense), nn.ReLU(), nn.Dropout(dropout))
        self.head = new_head(dense, classes)

    def maps(self, x: Tensor) -> Tensor:
        maps: Tensor = self.model(x)
        return maps

    def embed(self, maps: Tensor) -> Tensor:
        features: Tensor = self.dense(maps)
        return features

    def backbone(self) -> nn.Module:
        return self.model

    def stages(self) -> list[nn.Module]:
        return [*top_stages(self.model), self.dense]

    @property
    def cam_layer(self) -> nn.Module:
        return self.model


def _build_cut(classes: int, size: int, options: Mapping[str, Any]) -> Body:
    return InceptionMixed7(classes, size, options["dense"], options["dropout"])


INCEPTION_V3 = Network(
    name="inception_v3",
    build=lambda classes, size, options: TimmBody("inception_v3", classes, size, options),
    preprocessing=Preprocessing(size=299, filter="bicubic"),
    paper="Szegedy et al. 2016, arXiv:1512.00567",
    mean=HALF,
    std=HALF,
    licence="Apache-2.0",
    timm_name="inception_v3",
    ignores=("fc.", "AuxLogits."),
)

INCEPTION_V3_MIXED7 = Network(
    name="inception_v3-mixed7",
    build=_build_cut,
    preprocessing=Preprocessing(size=150, filter="bilinear"),
    paper="Szegedy et al. 2016, arXiv:1512.00567",
    mean=HALF,
    std=HALF,
    licence="Apache-2.0",
    timm_name="inception_v3",
    ignores=("fc.", "AuxLogits.", "Mixed_7"),
    options={"dense": 1024, "dropout": 0.2},
)
