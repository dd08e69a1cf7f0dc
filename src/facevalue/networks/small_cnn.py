"""The small convolutional network of the *Horses or Humans* exercise: 16-32-64, dense 512."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from facevalue.networks.base import Body, Network, new_head
from facevalue.pixels import Geometry


class SmallCNN(Body):
    """Three 3x3 convolutions (no padding) with ReLU and 2x2 max pooling, flatten, dense 512, output."""

    pooled = False

    def __init__(self, classes: int, size: int, dropout: float) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        channels, side = 3, size
        for width in (16, 32, 64):
            blocks.append(nn.Sequential(nn.Conv2d(channels, width, 3), nn.ReLU(), nn.MaxPool2d(2)))
            channels, side = width, (side - 2) // 2
        if side < 1:
            raise ValueError("the smallest picture is 22 x 22")
        self.blocks = nn.Sequential(*blocks)
        self.dense = nn.Sequential(nn.Flatten(), nn.Linear(channels * side * side, 512), nn.ReLU(), nn.Dropout(dropout))
        self.head = new_head(512, classes)

    def maps(self, x: Tensor) -> Tensor:
        maps: Tensor = self.blocks(x)
        return maps

    def embed(self, maps: Tensor) -> Tensor:
        features: Tensor = self.dense(maps)
        return features

    def stages(self) -> list[nn.Module]:
        return [*self.blocks, self.dense]

    @property
    def cam_layer(self) -> nn.Module:
        return self.blocks


def _build(classes: int, size: int, options: Mapping[str, Any]) -> Body:
    return SmallCNN(classes, size, **options)


SMALL_CNN = Network(
    name="small-cnn",
    build=_build,
    # 9.5 million parameters at 150, 40 million at 300: nearly all in the dense layer.
    geometry=Geometry(size=150, filter="bilinear"),
    paper="L. Moroney, Horses or Humans (2019)",
    options={"dropout": 0.0},
)
