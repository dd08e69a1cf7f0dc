"""The small convolutional network of the *Horses or Humans* exercise: 16-32-64, dense 512."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from facevalue.images.preprocessing import Preprocessing
from facevalue.models.networks.base import Body, Network, new_head, whole_numbers


class SmallCNN(Body):
    """Convolutions (no padding) with ReLU and 2x2 max pooling, flatten, one dense layer, output.

    Parameters
    ----------
    widths : channels of each convolution; one layer per number.
    kernel : side of the convolutions.
    dense : width of the layer before the last.
    dropout : dropout rate of the dense layer.
    batch_norm : whether batch norm follows each convolution. The published network has none.
    """

    pooled = False

    def __init__(
        self,
        classes: int,
        size: int,
        *,
        widths: Sequence[int],
        kernel: int,
        dense: int,
        dropout: float,
        batch_norm: bool = False,  # older model folders do not have this option
    ) -> None:
        super().__init__()
        widths = whole_numbers("widths", widths)
        blocks: list[nn.Module] = []
        channels, side = 3, size
        for width in widths:
            norm = (nn.BatchNorm2d(width),) if batch_norm else ()
            blocks.append(nn.Sequential(nn.Conv2d(channels, width, kernel), *norm, nn.ReLU(), nn.MaxPool2d(2)))
            channels, side = width, (side - kernel + 1) // 2
        if side < 1:
            raise ValueError(f"the image is too small for {len(widths)} layers of {kernel} x {kernel}")
        self.blocks = nn.Sequential(*blocks)
        self.dense = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * side * side, dense), nn.ReLU(), nn.Dropout(dropout)
        )
        self.head = new_head(dense, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                # Keras's initialisation (Glorot & Bengio 2010), as in the published figures. PyTorch's is 2.4 times
                # narrower in the dense layer, where nearly all parameters are.
                nn.init.xavier_uniform_(module.weight)
                assert module.bias is not None
                nn.init.zeros_(module.bias)

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
    preprocessing=Preprocessing(size=150, filter="bilinear"),
    paper="L. Moroney, Horses or Humans (2019)",
    options={"widths": (16, 32, 64), "kernel": 3, "dense": 512, "dropout": 0.0, "batch_norm": False},
)
