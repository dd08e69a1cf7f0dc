"""A small residual network for training from scratch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from facevalue.images.preprocessing import Preprocessing
from facevalue.models.networks.base import Body, Network, new_head, whole_numbers


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with batch norm, dropout between them, and a shortcut, projected where the shape changes."""

    def __init__(self, channels: int, width: int, stride: int, dropout: float) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            nn.Conv2d(channels, width, 3, stride, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Dropout2d(dropout),
            nn.Conv2d(width, width, 3, 1, 1, bias=False),
            nn.BatchNorm2d(width),
        )
        self.stride = stride
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels != width:
            self.shortcut = nn.Sequential(nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width))
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        # A strided 1x1 convolution only skips pixels. They are skipped here instead, because oneDNN's AVX2 kernel for a
        # strided one writes beyond its buffer with fewer than 8 channels (uxlfoundation/oneDNN issue 6035).
        kept = x[..., :: self.stride, :: self.stride]
        out: Tensor = self.relu(self.residual(x) + self.shortcut(kept))
        return out


class SmallResNet(Body):
    """A 3x3 stem and residual blocks of growing width, each halving the image; average pooling; linear."""

    pooled = True

    def __init__(self, classes: int, widths: tuple[int, ...], blocks: int, dropout: float) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, widths[0], 3, 1, 1, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU())
        stages: list[nn.Module] = []
        channels = widths[0]
        for width in widths:
            chain: list[nn.Module] = []
            for i in range(blocks):
                chain.append(ResidualBlock(channels, width, 2 if i == 0 else 1, dropout))
                channels = width
            stages.append(nn.Sequential(*chain))
        self.residual_stages = nn.Sequential(*stages)
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout))
        self.head = new_head(channels, classes)

    def maps(self, x: Tensor) -> Tensor:
        maps: Tensor = self.residual_stages(self.stem(x))
        return maps

    def embed(self, maps: Tensor) -> Tensor:
        features: Tensor = self.pool(maps)
        return features

    def stages(self) -> list[nn.Module]:
        return [self.stem, *self.residual_stages]

    @property
    def cam_layer(self) -> nn.Module:
        return self.residual_stages


def _build(classes: int, _size: int, options: Mapping[str, Any]) -> Body:
    return SmallResNet(classes, whole_numbers("widths", options["widths"]), options["blocks"], options["dropout"])


SMALL_RESNET = Network(
    name="small-resnet",
    build=_build,
    preprocessing=Preprocessing(size=128, filter="bilinear"),
    paper="He et al. 2016, arXiv:1512.03385",
    mean=(0.5, 0.5, 0.5),
    std=(0.25, 0.25, 0.25),
    options={"widths": (32, 64, 128, 256), "blocks": 1, "dropout": 0.1},
)
