"""The two small from-scratch networks side by side under one head."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from facevalue.images.preprocessing import Preprocessing
from facevalue.models.networks.base import Body, Network, new_head
from facevalue.models.networks.small_inception import SMALL_INCEPTION
from facevalue.models.networks.small_resnet import SMALL_RESNET


class Branches(nn.Module):
    """A residual and an Inception branch on the same image; their maps joined along channels."""

    def __init__(self, residual: Body, inception: Body) -> None:
        super().__init__()
        self.residual = residual
        self.inception = inception

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.residual.maps(x), self.inception.maps(x)], dim=1)


class SmallHybrid(Body):
    """Residual and Inception branches, trained together; average pooling; dropout; linear."""

    pooled = True

    def __init__(self, residual: Body, inception: Body, classes: int, size: int, dropout: float) -> None:
        super().__init__()
        width = residual.head.in_features + inception.head.in_features
        # Only the maps of the branches are used: their own heads would never be trained.
        del residual.head, inception.head
        self.branches = Branches(residual, inception)
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout))
        self.head = new_head(width, classes)
        with torch.no_grad(), torch.random.fork_rng():
            self.eval()(torch.zeros(1, 3, size, size))  # raises if the maps of the branches differ in size
        self.train()

    def maps(self, x: Tensor) -> Tensor:
        maps: Tensor = self.branches(x)
        return maps

    def embed(self, maps: Tensor) -> Tensor:
        features: Tensor = self.pool(maps)
        return features

    def stages(self) -> list[nn.Module]:
        return [*self.branches.residual.stages(), *self.branches.inception.stages()]

    @property
    def cam_layer(self) -> nn.Module:
        return self.branches


def _build(classes: int, size: int, options: Mapping[str, Any]) -> Body:
    dropout = options["dropout"]
    residual = {**SMALL_RESNET.options, "widths": options["residual_widths"]}
    inception = {**SMALL_INCEPTION.options, "widths": options["inception_widths"]}
    if len(options["residual_widths"]) != len(options["inception_widths"]) + 1:
        raise ValueError("residual_widths needs one width more than inception_widths, so that both maps have one size")
    return SmallHybrid(
        SMALL_RESNET.build(classes, size, residual),
        SMALL_INCEPTION.build(classes, size, inception),
        classes,
        size,
        dropout,
    )


SMALL_HYBRID = Network(
    name="small-hybrid",
    build=_build,
    preprocessing=Preprocessing(size=128, filter="bilinear"),
    paper="He et al. 2016, arXiv:1512.03385, beside Szegedy et al. 2015, arXiv:1409.4842",
    mean=(0.5, 0.5, 0.5),
    std=(0.25, 0.25, 0.25),
    options={"residual_widths": (32, 64, 128, 256), "inception_widths": (64, 128, 256), "dropout": 0.2},
)
