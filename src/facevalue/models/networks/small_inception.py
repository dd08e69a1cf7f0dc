"""A small Inception network for training from scratch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from facevalue.images.preprocessing import Preprocessing
from facevalue.models.networks.base import Body, Network, new_head, whole_numbers


def _conv(channels: int, width: int, kernel: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, width, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(width), nn.ReLU()
    )


class InceptionBlock(nn.Module):
    """Parallel 1x1, 3x3, 5x5 and pool paths, a quarter of the width each, joined along channels."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        quarter = width // 4
        self.one = _conv(channels, quarter, 1)
        self.three = nn.Sequential(_conv(channels, quarter, 1), _conv(quarter, quarter, 3))
        self.five = nn.Sequential(_conv(channels, quarter // 2, 1), _conv(quarter // 2, quarter, 5))
        self.pool = nn.Sequential(nn.MaxPool2d(3, 1, 1), _conv(channels, quarter, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.one(x), self.three(x), self.five(x), self.pool(x)], dim=1)


class SmallInception(Body):
    """A stem and Inception blocks of growing width with max pooling between; average pooling; dropout; linear."""

    pooled = True

    def __init__(self, classes: int, widths: tuple[int, ...], dropout: float) -> None:
        super().__init__()
        self.stem = nn.Sequential(_conv(3, 32, 3, 2), _conv(32, widths[0], 3), nn.MaxPool2d(3, 2, 1))
        stages: list[nn.Module] = []
        channels = widths[0]
        for i, width in enumerate(widths):
            down: list[nn.Module] = [] if i == 0 else [nn.MaxPool2d(3, 2, 1)]
            stages.append(nn.Sequential(*down, InceptionBlock(channels, width)))
            channels = width
        self.inception_stages = nn.Sequential(*stages)
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout))
        self.head = new_head(channels, classes)

    def maps(self, x: Tensor) -> Tensor:
        maps: Tensor = self.inception_stages(self.stem(x))
        return maps

    def embed(self, maps: Tensor) -> Tensor:
        features: Tensor = self.pool(maps)
        return features

    def stages(self) -> list[nn.Module]:
        return [self.stem, *self.inception_stages]

    @property
    def cam_layer(self) -> nn.Module:
        return self.inception_stages


def _build(classes: int, _size: int, options: Mapping[str, Any]) -> Body:
    return SmallInception(classes, whole_numbers("widths", options["widths"], least=8), options["dropout"])


SMALL_INCEPTION = Network(
    name="small-inception",
    build=_build,
    preprocessing=Preprocessing(size=128, filter="bilinear"),
    paper="Szegedy et al. 2015, arXiv:1409.4842",
    mean=(0.5, 0.5, 0.5),
    std=(0.25, 0.25, 0.25),
    options={"widths": (64, 128, 256), "dropout": 0.2},
)
